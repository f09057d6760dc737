#!/bin/bash
# An executor without Python: obeys the contract and detects nothing. IN and OUT stand in for /in and /out in tests.
set -eo pipefail
in=${IN:-/in} out=${OUT:-/out}
value() { sed -n "s/^ *$1: *//p" "$in/$2.yaml" | head -1; }
write() { cat > "$out/.new" && mv "$out/.new" "$1"; }
progress() { printf '%s\t%s\t%s\t2\t0\n' "$(value task_id env)" "$(date +%s.%N)" "$1" | write "$out/monitor.txt"; }
class=$(sed -n '/^class_names:/{n;s/^ *- *//p}' "$in/config.yaml")
index=$in/candidate-index.tsv

progress 0.00
if [ "$(value run_training env)" = true ]; then
  echo weights | write "$out/models/final.pth"
  echo event > "$out/tensorboard/events.out.tfevents.1"
  write "$out/models/result.yaml" <<END
best_stage_name: final
model_stages:
  final: {stage_name: final, files: [final.pth], timestamp: $(date +%s), mAP: 0.5}
END
fi
if [ "$(value run_mining env)" = true ]; then
  awk '{printf "%s\t%.3f\n", $0, 1 / NR}' "$index" | write "$out/result.tsv"
fi
if [ "$(value run_infer env)" = true ]; then
  box="{\"class_name\": \"$class\", \"score\": 0.5, \"box\": {\"x\": 1, \"y\": 2, \"w\": 3, \"h\": 4}}"
  awk -F/ -v box="$box" 'BEGIN {printf "{\"detection\": {"} {printf "%s\"%s\": {\"boxes\": [%s]}", (NR > 1 ? ", " : ""), $NF, box}
                         END {print "}}"}' "$index" | write "$out/infer-result.json"
fi
progress 1.00
echo all done
