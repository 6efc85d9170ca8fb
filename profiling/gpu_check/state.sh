# shellcheck shell=bash disable=SC2154
# Runs a stage, keeps its state and writes the table of stages. Sourced by gpu_check.sh.

clock_fields=clocks.sm,clocks.mem,temperature.gpu,power.draw,power.limit,pstate

require_gpu() {
    if ! command -v nvidia-smi >/dev/null; then
        echo 'gpu_check: there is no GPU here: nvidia-smi is not on this machine' >&2
        exit 4
    fi
    gpu_name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | sed -n 1p) || true
    if [[ -z $gpu_name ]]; then
        echo 'gpu_check: there is no GPU here: nvidia-smi finds none' >&2
        exit 4
    fi
    gpu_folder=$results/$(tr '[:upper:] ' '[:lower:]-' <<<"$gpu_name" | tr -cd 'a-z0-9-')
    mkdir -p "$gpu_folder/stages"
}

# Clocks, temperature, power and why the clock is held back.
state_fields() {
    local reasons=clocks_event_reasons.active
    nvidia-smi --query-gpu=$reasons --format=csv,noheader >/dev/null 2>&1 || reasons=clocks_throttle_reasons.active
    echo "$clock_fields,$reasons"
}

# One line of them.
gpu_state() {
    nvidia-smi --query-gpu="$(state_fields)" --format=csv,noheader 2>/dev/null | sed -n 1p || true
}

# The same each second while a stage runs: its median may hide a clock that fell in the middle.
watch_gpu() { # FILE
    timeout $((stage_seconds + 60)) nvidia-smi --query-gpu="timestamp,$(state_fields)" --format=csv -lms 1000 >"$1" 2>/dev/null &
    watcher=$!
}

stop_watching() {
    [[ -z ${watcher:-} ]] || kill "$watcher" 2>/dev/null || true
    watcher=
}

# write_state STAGE STATE BEFORE SECONDS: one file a stage, so that nothing is lost when two run.
write_state() {
    local file=$gpu_folder/stages/$1
    {
        printf 'state\t%s\n' "$2"
        printf 'commit\t%s\n' "$(cat "$pack/commit" 2>/dev/null || echo unknown)"
        printf 'date\t%s\n' "$(date -u +%Y-%m-%dT%H:%MZ)"
        printf 'seconds\t%s\n' "$4"
        printf 'before\t%s\n' "$3"
        printf 'after\t%s\n' "$(gpu_state)"
        printf 'pid\t%s\n' "$$"
    } >"$file.new"
    mv "$file.new" "$file"
    write_table "$gpu_folder"
}

field() { # FILE NAME
    sed -n "s/^$2\t//p" "$1"
}

# A stage that says it runs and whose process is gone was killed.
state_of() { # FILE
    local state
    state=$(field "$1" state)
    if [[ $state == running ]] && ! kill -0 "$(field "$1" pid)" 2>/dev/null; then
        state='KILLED: run it again'
    fi
    echo "$state"
}

write_table() { # FOLDER
    local stage file files
    {
        echo "# ${1##*/}"
        echo
        echo "Stages of \`profiling/gpu_check.sh\`; generated, not edited. Clocks: SM, memory, degrees, watts, limit,"
        echo 'state, what holds the clock back (a bit mask of nvidia-smi).'
        echo
        echo '| stage | state | commit | date | seconds | before | after | files |'
        echo '|---|---|---|---|---|---|---|---|'
        while read -r stage; do
            file=$1/stages/$stage
            if [[ ! -f $file ]]; then
                echo "| $stage | not run | | | | | | |"
                continue
            fi
            files=$(cd "$1" && find . -maxdepth 1 -type f -name "$stage.*" | sort | sed 's|^\./\(.*\)|[\1](\1)|' | paste -sd' ' -)
            echo "| $stage | $(state_of "$file") | $(field "$file" commit) | $(field "$file" date) | $(field "$file" seconds) |" \
                "$(field "$file" before) | $(field "$file" after) | $files |"
        done < <(stage_names)
    } >"$1/README.md.new"
    mv "$1/README.md.new" "$1/README.md"
}

write_tables() {
    local folder
    for folder in "$results"/*/; do
        [[ -d $folder/stages ]] && write_table "${folder%/}"
    done
    return 0
}

# Runs the commands of a stage; 124 when its time is over. Standard output of each goes to its file
# in WORK, and everything to the log.
run_plan() { # STAGE WORK LOG
    local output command status=0 deadline=$((SECONDS + stage_seconds)) left
    while IFS=$'\t' read -r output command <&3; do
        left=$((deadline - SECONDS))
        ((left > 0)) || return 124
        echo "+ $command" >>"$3"
        if [[ $output == - ]]; then output=$3; else output=$2/$output; fi
        # In the background, so that a signal reaches this shell while the command runs.
        GPU_CHECK_PACK=$pack GPU_CHECK_WORK=$2 timeout --kill-after=10 "$left" \
            bash -c "source '$here/gpu_check/run.sh'; cd '$pack' || exit; $command" 3<&- \
            >>"$output" 2>>"$3" &
        child=$!
        wait "$child" || status=$?
        child=
        [[ $output == "$3" ]] || cat "$output" >>"$3"
        ((status == 0)) || return "$status"
    done 3< <(plan "$1")
}

run_stage() {
    local stage=$1 why work log before status=0 start=$SECONDS state
    echo "== $stage: $(about "$stage")"
    before=$(gpu_state)
    why=$(obstacle "$stage")
    if [[ -n $why ]]; then
        echo "   skipped: $why"
        write_state "$stage" "skipped: $why" "$before" 0
        return 0
    fi
    work=$gpu_folder/stages/.$stage.$$
    log=$gpu_folder/$stage.log
    mkdir -p "$work"
    : >"$log"
    write_state "$stage" running "$before" ''
    trap 'stop_stage "$stage" "$work" "$before" $((SECONDS - start))' INT TERM HUP
    watch_gpu "$work/$stage.clocks"
    run_plan "$stage" "$work" "$log" || status=$?
    stop_watching
    trap - INT TERM HUP
    case $status in
    0) state='done' ;;
    124 | 137) state="FAILED: not over after $stage_seconds s" ;;
    *) state="FAILED: exit $status" ;;
    esac
    # Results are committed: they name no folder of this machine.
    find "$work" "$log" -type f -exec sed -i "s|$pack|PACK|g; s|$root|.|g" {} +
    if ((status == 0)); then
        find "$work" -maxdepth 1 -type f -exec mv -t "$gpu_folder" {} +
    else
        tail -5 "$log" | sed 's/^/   /'
    fi
    rm -rf "$work"
    write_state "$stage" "$state" "$before" $((SECONDS - start))
    echo "   $state, $((SECONDS - start)) s"
    ((status == 0))
}

stop_stage() { # STAGE WORK BEFORE SECONDS
    trap - INT TERM HUP
    # timeout puts itself into a group of its own and passes the signal on.
    [[ -z ${child:-} ]] || kill "$child" 2>/dev/null || true
    stop_watching
    rm -rf "$2"
    write_state "$1" 'STOPPED: run it again' "$3" "$4"
    echo "   stopped: results of an earlier run, if any, are as they were" >&2
    exit 130
}
