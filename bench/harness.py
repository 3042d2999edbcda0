"""What all comparisons share: servers on one core, load on the other, CPU time, tables."""

import contextlib
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIGNPOST = ROOT / "target/release/signpost"
SERVER_CORE, LOAD_CORE = "0", "1"
TICKS = os.sysconf("SC_CLK_TCK")

# No load lasts that long.
LOAD_PATIENCE = 300


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def cpu_seconds(pid):
    """User and system time of a process and all its descendants, those that have ended included."""
    total = 0.0
    for pid in [pid, *descendants(pid)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / TICKS
    return total


def descendants(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        # One may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def resident_bytes(pid):
    """Returns the memory that a process and all its descendants occupy."""
    pages = (int(pathlib.Path(f"/proc/{one}/statm").read_text().split()[1]) for one in [pid, *descendants(pid)])
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def wait_for(check, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} didn't come up")
        time.sleep(0.05)


@contextlib.contextmanager
def running(core, *command):
    """Runs a server in the foreground on one core; it is stopped by its id."""
    process = subprocess.Popen(
        ["taskset", "-c", core, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def load(*command):
    run = subprocess.run(
        ["taskset", "-c", LOAD_CORE, *map(str, command)], capture_output=True, text=True, timeout=LOAD_PATIENCE
    )
    if run.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{run.stdout}{run.stderr}")
    return run.stdout


def signpost_config(directory, **sections):
    config = directory / "signpost.toml"
    text = "workers = 1\n"
    text += f'[admin]\nlisten = "127.0.0.1:{free_port()}"\n[registry]\nstate_dir = "{directory}/state"\n'
    text += "".join(sections.values())
    config.write_text(text)
    return config


def table(what, operation, results, kinds, servers, references):
    """Prints medians over the rounds, with the spread of the CPU figure and ratios to some servers."""
    ratios = "".join(f" ÷ {reference} |" for reference in references)
    print(f"\n| {what} | server | CPU µs/{operation} |{ratios} per second | lost |")
    print("|---|---|---|" + "---|" * len(references) + "---|---|")
    for kind in kinds:
        bases = [statistics.median(cost for cost, _, _ in results[kind, reference]) for reference in references]
        for server in servers:
            rounds = results[kind, server]
            costs = [cost for cost, _, _ in rounds]
            cost = statistics.median(costs)
            rate = statistics.median(rate for _, rate, _ in rounds)
            lost = sum(lost for _, _, lost in rounds)
            spread = f"{min(costs):.2f}–{max(costs):.2f}"
            ratios = "".join(f" {cost / base:.2f} |" for base in bases)
            print(f"| {kind} | {server} | {cost:.2f} ({spread}) |{ratios} {rate:,.0f} | {lost} |")
