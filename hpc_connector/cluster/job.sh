# Every job: prepare each node, run the program on all ranks, warn them before the time is
# over, queue again what was stopped, and keep Slurm's figures.

eval "$CONNECTOR_SETUP" # not under set -u, which modules do not stand
set -euo pipefail
if [ $# -eq 0 ]; then
    echo "$CONNECTOR_PROGRAM: expected its arguments behind the name of this script" >&2
    exit 2
fi

# the number of an array's last element is that of the array: it would name all elements
own=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
own=${own:-$SLURM_JOB_ID}
threads=${SLURM_CPUS_PER_TASK:-1}
scratch=${TMPDIR:-/tmp}
kept=${XDG_CACHE_HOME:-$HOME/.cache}/hpc_connector/numba
export SRUN_CPUS_PER_TASK=$threads OMP_NUM_THREADS=$threads
export NUMBA_CACHE_DIR=$scratch/numba # compiled kernels: local to the node

inside=() # of the container, if there is one
if [ -n "$CONNECTOR_IMAGE" ]; then
    runtime=$(command -v apptainer || command -v singularity) || {
        echo "$CONNECTOR_PROGRAM: $CONNECTOR_IMAGE needs apptainer or singularity" >&2
        exit 2
    }
    inside=("$runtime" exec --bind "$scratch${CONNECTOR_BIND:+,$CONNECTOR_BIND}")
    inside+=(--env "NUMBA_CACHE_DIR=$NUMBA_CACHE_DIR")
    # without setuid, ranks of a node share memory only in one namespace
    if "$runtime" exec --help | grep -q -- --sharens; then inside+=(--sharens); fi
    inside+=("$CONNECTOR_IMAGE")
fi

on_each_node() { srun --ntasks="$SLURM_NNODES" --ntasks-per-node=1 "$@"; }

# shellcheck disable=SC2016 # the shell of each node expands them
on_each_node sh -c 'mkdir -p "$2"; [ ! -d "$1" ] || cp -r "$1/." "$2"' \
    - "$kept" "$NUMBA_CACHE_DIR"
touch "$scratch/staged"

keep_kernels() { # for the next job, if some were compiled
    find "$NUMBA_CACHE_DIR" -type f -newer "$scratch/staged" | grep -q . || return 0
    mkdir -p "$kept.$SLURM_JOB_ID"
    cp -r "$NUMBA_CACHE_DIR/." "$kept.$SLURM_JOB_ID"
    if [ -d "$kept" ]; then mv -T "$kept" "$kept.$SLURM_JOB_ID.old"; fi
    mv -T "$kept.$SLURM_JOB_ID" "$kept"
    rm -rf "$kept.$SLURM_JOB_ID.old"
}

figures= # of Slurm
keep_figures() { # once the accounting knows the job, and the end of the steps
    command -v sacct >/dev/null || return 0
    for _ in 1 2 3 4 5; do
        sleep 1
        figures=$(sacct --jobs "$own" --duplicates --noheader --parsable2 \
            --format "$CONNECTOR_FIGURES" 2>/dev/null) || return 0
        grep -v batch <<<"$figures" |
            grep -qE "^$SLURM_JOB_ID([.].*[|]RUNNING|[|]PENDING)" || break
    done
    "${inside[@]}" hpc-connector account "$@" <<<"$figures" || true
}

# ranks that abort say why here: a launcher may report that it killed the others
export CONNECTOR_CODE=$PWD/.$CONNECTOR_PROGRAM-$SLURM_JOB_ID.code
rm -f "$CONNECTOR_CODE"
read -ra launch <<<"$CONNECTOR_LAUNCH"
watched=()
if [ "${CONNECTOR_TELEMETRY:-0}" = 1 ]; then watched=(--telemetry); fi
"${launch[@]}" "${inside[@]}" "$CONNECTOR_PROGRAM" "$@" \
    --threads "$threads" --resume "${watched[@]}" &
ranks=$!
trap 'kill -s "$CONNECTOR_WARNING" "$ranks" 2>/dev/null' USR1 TERM
code=0
wait "$ranks" || code=$?
while kill -0 "$ranks" 2>/dev/null; do # a trapped signal ends a wait early
    code=0
    wait "$ranks" || code=$?
done

if [ -s "$CONNECTOR_CODE" ]; then code=$(<"$CONNECTOR_CODE"); fi
rm -f "$CONNECTOR_CODE"

keep_kernels || true
keep_figures "$@"

short= # what the next attempt gets more of, as scontrol takes it
if [ "$code" -ne 0 ] && [ "$code" -ne 2 ]; then
    policy=(${CONNECTOR_POLICY:+--policy "$CONNECTOR_POLICY"})
    short=$("${inside[@]}" hpc-connector telemetry grow --code "$code" \
        --warn "$CONNECTOR_WARN" "${policy[@]}" "$@" <<<"$figures") || short=
fi

queue_again() { # refused where Slurm has done so itself, or it was cancelled
    trap '' TERM # which this script and what it starts get now
    if [ -z "$short" ]; then
        scontrol requeue "$own"
    else
        scontrol requeuehold "$own" || return
        scontrol update "JobId=$own" "$short" || true
        scontrol release "$own"
    fi
}
if [ "$code" -eq 75 ] || [ -n "$short" ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$CONNECTOR_RESTARTS" ]; then
        queue_again && sleep 60
    fi
fi
exit "$code"
