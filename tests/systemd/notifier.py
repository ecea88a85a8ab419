"""A server that speaks sd_notify(3): ready after a while, reloads, feeds the watchdog, and stops
feeding it on SIGUSR1. Says on standard output what it does."""

import os
import signal
import socket
import time


def notify(text):
    address = os.environ["NOTIFY_SOCKET"]
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto(text.encode(), address)


feeding = True


def stop_feeding(*_):
    global feeding
    feeding = False


def reload(*_):
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify(f"RELOADING=1\nMONOTONIC_USEC={now}")
    print("reloaded", flush=True)
    notify("READY=1\nSTATUS=reloaded")


def end(*_):
    notify("STOPPING=1")
    print("stopping", flush=True)
    raise SystemExit(0)


signal.signal(signal.SIGUSR1, stop_feeding)
signal.signal(signal.SIGHUP, reload)
signal.signal(signal.SIGTERM, end)
time.sleep(0.5)
notify("READY=1\nSTATUS=serving")
print("ready", flush=True)
while True:
    time.sleep(0.2)
    if feeding and "WATCHDOG_USEC" in os.environ:
        notify("WATCHDOG=1")
