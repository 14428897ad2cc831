#!/usr/bin/env bash
# The main job on bundled real data: import, sweep, gate, serve, paper-trade, replay; then a PPO policy.
# Usage: scripts/demo.sh BINARY HOME
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
export TRADEWIND_HOME=$2
began=$SECONDS

bold= plain=
if [ -t 1 ]; then bold=$(tput bold 2>/dev/null || true) plain=$(tput sgr0 2>/dev/null || true); fi
step() { printf '\n%s── %s%s\n' "$bold" "$1" "$plain"; }
field() { python3 -c 'import json,sys; value=json.loads(sys.stdin.read().strip().splitlines()[-1])
for key in sys.argv[1].split("."): value=value[key]
print(value)' "$1"; }

serving=
stop_serving() { [ -z "$serving" ] || { kill "$serving" 2>/dev/null && wait "$serving" 2>/dev/null; } || true; serving=; }
trap stop_serving EXIT

step "1/7  Import AAPL, daily, 2013–2023"
"$binary" data import data/aapl_daily_2013_2023.csv --name aapl_daily --symbol AAPL

step "2/7  Sweep eight CNN+LSTM trials, judge the best one on the held-out years"
"$binary" run experiments/quickstart.yaml
outcome=$("$binary" run experiments/quickstart.yaml --json)
alias=$(field promotion.alias <<<"$outcome")
if [ "$(field promotion.moved <<<"$outcome")" != True ] || [ "$alias" != champion ]; then
    echo "The gate refused, so the model stands as challenger: paper trading may use it, a real broker never may."
fi

step "3/7  Serve quickstart@$alias and ask it about the last bar"
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
"$binary" serve --model "quickstart@$alias" --listen "127.0.0.1:$port" &
serving=$!
for _ in $(seq 100); do
    kill -0 "$serving" 2>/dev/null || { echo "the server did not start" >&2; exit 1; }
    if python3 -c 'import sys,urllib.request; urllib.request.urlopen(sys.argv[1])' "http://127.0.0.1:$port/readyz" 2>/dev/null
    then break; fi
    sleep 0.1
done
"$binary" predict --url "http://127.0.0.1:$port" --data aapl_daily --symbol AAPL
stop_serving

step "4/7  Paper-trade the held-out years bar by bar"
rm -f "$TRADEWIND_HOME/live/demo.journal"
"$binary" live --paper --feed replay:aapl_daily --model "quickstart@$alias" --journal "$TRADEWIND_HOME/live/demo.journal"

step "5/7  Replay every decision, inference included"
"$binary" replay "$TRADEWIND_HOME/live/demo.journal"

step "6/7  Train a PPO policy, two seeds"
"$binary" run experiments/quickstart-ppo.yaml

step "7/7  Done in $((SECONDS - began)) s"
echo "Report (PPO):      $("$binary" run experiments/quickstart-ppo.yaml --json | field report)"
echo "Report (CNN+LSTM): $(field report <<<"$outcome")"
field verdict <<<"$outcome"
