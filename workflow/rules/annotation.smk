rule plan_annotation:
    input:
        unpack(get_annotation_input),
    output:
        plan="results/annotation/{dataset}.plan.json",
    log:
        "logs/annotation/{dataset}.plan.log",
    params:
        sizing=config["sizing"],
        words=get_annotation_words,
    localrule: True
    shell:
        "hpc-connector telemetry recommend --format json {params.sizing} "
        "metabolite-annotation run {params.words} "
        "--out results/annotation/{wildcards.dataset}.partial >{output.plan} 2>{log}"


# A run works beside the folder of its outputs, which Snakemake may empty, and goes on
# there after a stop; whole, it takes their place.
rule annotation:
    input:
        unpack(get_annotation_input),
        plan=ancient(rules.plan_annotation.output.plan),
    output:
        annotations="results/annotation/{dataset}/annotations.tsv",
        results="results/annotation/{dataset}/results.h5",
        report="results/annotation/{dataset}/report.html",
        manifest="results/annotation/{dataset}/manifest.json",
    log:
        "logs/annotation/{dataset}.log",
    params:
        words=get_annotation_words,
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
        "( {resources.mpi} -n {resources.tasks} metabolite-annotation run {params.words} "
        "--threads {threads} --out {params.out}.partial --resume && "
        "rm -r {params.out} && mv {params.out}.partial {params.out} ) >{log} 2>&1"
