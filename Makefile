# make          set up .venv
# make demo     planted pairs of a cohort, lipids of a tissue; on two MPI ranks
# make test     lint, types, tests; with -j 2 those of the cluster beside the others
# make versions the oldest and newest libraries, by quick tests
# make docs     the documentation, build/docs/index.html
# make bench    measure
# make slurm    the scripts of slurm/ again, after a change of how jobs are rendered
# make clean    remove what make made

SHELL := /bin/bash
PYTHON := $(shell for v in 3.11 3.12 3.13 3.14 3; do \
	python$$v -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo python$$v && break; done)
COHORT := tests/data/hipster_1000genomes_vcf
SPHEROID := tests/data/imzml/Untreated_3_434_tiny.imzML
LIPIDS := tests/data/databases/lipidmaps_2017-12-12-v2.tsv.gz

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup demo lint test test-cluster test-others versions docs bench slurm clean
setup: .venv/installed

.venv/installed: setup.cfg pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet uv  # it finds in seconds what fits, pip in many minutes
	.venv/bin/uv pip install --quiet --python .venv/bin/python --editable '.[mpi,test,dev]' \
		|| .venv/bin/pip install --quiet --editable '.[mpi,test,dev]'
	# squidpy asks for an older one, by which tifffile packs no integers for the tests
	.venv/bin/pip install --quiet --upgrade 'imagecodecs >= 2026'
	touch $@

demo: setup
	rm -rf demo/hipster demo/spheroid
	.venv/bin/mpirun -n 2 .venv/bin/mdr-epistasis run $(COHORT)/Hipster.vcf.bgz \
		--labels $(COHORT)/Hipster.tsv --out demo/hipster --permutations 100
	.venv/bin/mpirun -n 2 .venv/bin/metabolite-annotation run $(SPHEROID) \
		--database $(LIPIDS) --instrument FTICR --resolving-power 280000@200 \
		--out demo/spheroid --pattern-cache demo/patterns

test: test-cluster test-others

lint: setup
	ruff check
	ruff format --check
	mypy

# Two processes with `make -j 2 test`: there is one Slurm cluster on a machine.
test-cluster: lint
	pytest -m cluster

test-others: lint
	pytest -m 'not cluster'

versions: setup
	.ci/versions $(PYTHON)

docs: setup
	sphinx-build -W -q docs build/docs

bench: setup
	for script in benchmarks/*.py; do .venv/bin/python $$script || exit 1; done

slurm: setup
	for program in mdr-epistasis metabolite-annotation; do \
		python -c "from hpc_connector.cluster.batch import *; \
		print(render_sbatch(Job('$$program', ntasks_per_node=4), Site()), end='')" \
		> slurm/$${program/-/_}.sbatch; done

clean:
	rm -rf .venv build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
