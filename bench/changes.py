"""Queries while instances change: 5,000 changes a second in a ZooKeeper, next to none, and what a change costs.

Changes take the whole way: a client sets the data of znodes in a real ZooKeeper, whose recursive watch tells
signpost of each, which reads it, makes snapshots and zones and answers by these. Core 0 has signpost alone. What
changes and what asks share core 1: dnsperf goes before the others there (they are SCHED_IDLE), and in quiet rounds
these do the same work, for the client then sets znodes that signpost doesn't watch, and watches and reads them in
its place. So two rounds differ by what signpost does, and hardly by the load. Anything else that runs on the
machine keeps ZooKeeper from its core, and then fewer changes are made than wanted.

dnsperf asks at a fixed rate, well below what signpost can answer, and waits for no answer before it goes on.
Changes "made" are those of ZooKeeper, elsewhere in quiet rounds; "applied" are those that the registry had taken
when the time was over. What a change costs is the time of all threads but those that answer: at such a rate these
spend more on waking up than on answering, and less of it the busier the core is. How long these wait for the core
shows what the load on core 1 can't blur. The lag is from ZooKeeper's reply until DNS answers by the change, to
some milliseconds.
"""

import contextlib
import multiprocessing
import pathlib
import re
import statistics
import subprocess
import tempfile
import time
import urllib.request

import dns
from churn import INSTANCES, SERVICES, UNWATCHED, WATCHED, drive, fill, step_back
from harness import LOAD_CORE, SERVER_CORE, SIGNPOST, free_port, running, signpost_config, wait_for
from zookeeper import ensemble

QUERIES = 10_000
UPDATES = r'^signpost_registry_source_updates_total\{source="main"[^}]*\} (\d+)'
LATENCIES = re.compile(r"^> \w+ \S+ \S+ ([\d.]+)", re.MULTILINE)


def signpost(directory, port, zookeeper):
    config = signpost_config(
        directory,
        dns=f'[dns]\nlisten = ["127.0.0.1:{port}"]\n',
        proxy=f'[[proxy.listeners]]\nlisten = "127.0.0.1:{free_port()}"\n',
        sources=f'[sources.main.zookeeper]\nconnect = "127.0.0.1:{zookeeper}"\npath = "{WATCHED}"\n'
        'audit_interval = "5m"\n',
    )
    return [SIGNPOST, "run", "--config", config]


def updates(directory):
    """Asks signpost how many changes it has taken from its source."""
    admin = re.search(r'\[admin\]\nlisten = "(.*)"', (directory / "signpost.toml").read_text())[1]
    with urllib.request.urlopen(f"http://{admin}/metrics") as metrics:
        return int(re.search(UPDATES, metrics.read().decode(), re.MULTILINE)[1])


def thread_seconds(pid):
    """Tells how long the threads that answer over UDP have run and waited for the core, and how long all others ran."""
    answering = waiting = others = 0.0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        ran, waited, _ = (int(field) / 1e9 for field in (task / "schedstat").read_text().split())
        if (task / "comm").read_text() == "dns-udp\n":
            answering, waiting = answering + ran, waiting + waited
        else:
            others += ran
    return answering, waiting, others


def settle(directory):
    """Waits until signpost has taken all changes that were made."""
    seen = -1
    while (now := updates(directory)) != seen:
        seen = now
        time.sleep(0.5)


def measure(pid, port, directory, zookeeper, root, seconds, seed, driver):
    """Asks and changes for a time; returns the figures of the round."""
    # Not in signpost's own directory, which it watches for changes of its configuration.
    output = directory.parent / "dnsperf.out"
    settle(directory)
    before, used_before = updates(directory), thread_seconds(pid)
    with output.open("w") as file:
        command = ["dnsperf", "-s", "127.0.0.1", "-p", port, "-d", directory.parent / "queries.mix", "-l", seconds]
        command += ["-c", 8, "-T", 1, "-q", 5_000, "-Q", QUERIES, "-v"]
        asking = subprocess.Popen(["taskset", "-c", LOAD_CORE, *map(str, command)], stdout=file)
        driving = driver.apply_async(drive, (zookeeper, root, port, seconds, seed))
        if asking.wait(seconds + 60) != 0:
            raise SystemExit("dnsperf failed")
        applied = updates(directory) - before
        used = [after - before for after, before in zip(thread_seconds(pid), used_before)]
        made, lags = driving.get(60)
    said = output.read_text()
    latencies = sorted(float(found) * 1e6 for found in LATENCIES.findall(said))
    return {
        "made": made / seconds,
        "applied": applied / seconds,
        "answering": used[0] / len(latencies) * 1e6,
        "waiting": used[1] / len(latencies) * 1e6,
        "others": used[2],
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
        "queries": len(latencies) / seconds,
        "lost": int(re.search(r"Queries lost:\s+(\d+)", said)[1]),
        "lags": lags,
    }


def bench_changes(seconds, rounds):
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        driver = stack.enter_context(multiprocessing.Pool(1, step_back))
        dns.write_queries(directory, SERVICES)
        zookeeper = stack.enter_context(ensemble(directory))
        fill(zookeeper)
        own, port = directory / "signpost", free_port()
        own.mkdir()
        pid = stack.enter_context(running(SERVER_CORE, *signpost(own, port, zookeeper)))
        wait_for(lambda: dns.answers(port), "signpost", 600)
        results = {WATCHED: [], UNWATCHED: []}
        for seed in range(-1, rounds):
            for root in [UNWATCHED, WATCHED]:
                figures = measure(pid, port, own, zookeeper, root, seconds, seed + 2, driver)
                # The first round warms ZooKeeper up.
                if seed >= 0:
                    results[root].append(figures)
    show(results[UNWATCHED], results[WATCHED], seconds)


def show(quiet, changing, seconds):
    """Prints the medians of the rounds."""

    def median(rounds, key):
        return statistics.median(figures[key] for figures in rounds)

    print(f"\n| {SERVICES:,} services × {INSTANCES} | changes made/s | applied/s ", end="")
    print("| p50 µs | p99 µs | queries/s | lost | CPU µs/query | µs/query waiting for the core |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, rounds in [("quiet", quiet), ("changing", changing)]:
        p99s = [figures["p99"] for figures in rounds]
        print(
            f"| {name} | {median(rounds, 'made'):,.0f} | {median(rounds, 'applied'):,.0f} "
            f"| {median(rounds, 'p50'):,.0f} | {median(rounds, 'p99'):,.0f} ({min(p99s):,.0f}–{max(p99s):,.0f}) "
            f"| {median(rounds, 'queries'):,.0f} | {sum(figures['lost'] for figures in rounds)} "
            f"| {median(rounds, 'answering'):.2f} | {median(rounds, 'waiting'):.2f} |"
        )
    pairs = list(zip(quiet, changing))
    ratios = [after["p99"] / before["p99"] for before, after in pairs]
    costs = [(after["others"] - before["others"]) / after["applied"] / seconds * 1e6 for before, after in pairs]
    lags = sorted(lag for figures in changing for lag in figures["lags"])
    print()
    for what, values, unit in [("p99, changing ÷ quiet", ratios, ""), ("CPU by change", costs, " µs")]:
        print(f"- {what}: {statistics.median(values):.2f}{unit} ({min(values):.2f}–{max(values):.2f})")
    if lags:
        print(
            f"- from ZooKeeper's reply to the answer: {statistics.median(lags):.1f} ms, "
            f"p99 {lags[len(lags) * 99 // 100]:.1f} ms, at most {lags[-1]:.1f} ms, of {len(lags):,} looks"
        )
