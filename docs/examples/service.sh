#!/bin/sh
# A jail without any service manager: service.sh start|stop|reload|status NAME
# The pid file is there as long as the program runs, and names the outer process: what is sent to it
# reaches the program.
set -eu
action=$1 name=$2
file=/run/jail-$name.pid

running() {
    [ -s "$file" ] && kill -0 "$(cat "$file")" 2>/dev/null
}

case $action in
start)
    if running; then
        echo "$name runs already" >&2
        exit 1
    fi
    # A session of its own: it outlives this terminal.
    setsid jail run "$name" --pid-file "$file" </dev/null >/dev/null &
    # Until the program runs, or jail has given up and said why.
    while ! running; do
        kill -0 $! 2>/dev/null || wait $!
        sleep 0.1
    done
    ;;
stop)
    running || exit 0
    pid=$(cat "$file")
    kill "$pid"
    # jail itself kills what does not stop within the spec's stop-timeout.
    while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    ;;
reload) running && kill -HUP "$(cat "$file")" ;;
status) if running; then echo "$name runs"; else echo "$name does not run"; exit 3; fi ;;
*)
    echo "usage: $0 start|stop|reload|status NAME" >&2
    exit 2
    ;;
esac
