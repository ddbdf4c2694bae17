rule plan_epistasis:
    input:
        unpack(get_epistasis_input),
    output:
        plan="results/epistasis/{cohort}.plan.json",
    log:
        "logs/epistasis/{cohort}.plan.log",
    params:
        sizing=config["sizing"],
        words=get_epistasis_words,
    localrule: True
    shell:
        "hpc-connector telemetry recommend --format json {params.sizing} "
        "mdr-epistasis run {params.words} "
        "--out results/epistasis/{wildcards.cohort}.partial >{output.plan} 2>{log}"


# A run works beside the folder of its outputs, which Snakemake may empty, and goes on
# there after a stop; whole, it takes their place.
rule epistasis:
    input:
        unpack(get_epistasis_input),
        plan=ancient(rules.plan_epistasis.output.plan),
    output:
        models="results/epistasis/{cohort}/models.tsv",
        results="results/epistasis/{cohort}/results.h5",
        report="results/epistasis/{cohort}/report.html",
        manifest="results/epistasis/{cohort}/manifest.json",
    log:
        "logs/epistasis/{cohort}.log",
    params:
        words=get_epistasis_words,
        out=subpath(output.manifest, parent=True),
    threads: lambda wildcards, input: get_asked(input.plan)["threads"]
    resources:
        mpi=config["mpi"],
        nodes=lambda wildcards, input: get_asked(input.plan)["nodes"],
        tasks=lambda wildcards, input: get_asked(input.plan)["tasks"],
        mem_mb=lambda wildcards, input, attempt: attempt
        * get_asked(input.plan)["mem_mb"],
        runtime=lambda wildcards, input: get_asked(input.plan)["runtime"],
    shell:
        "( {resources.mpi} -n {resources.tasks} mdr-epistasis run {params.words} "
        "--threads {threads} --out {params.out}.partial --resume && "
        "rm -r {params.out} && mv {params.out}.partial {params.out} ) >{log} 2>&1"
