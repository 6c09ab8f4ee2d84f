#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Peers: process pools of Python, under the load of peer.c.

pools.py POOL TIME_NS WINDOW MODE... prints one number a mode; exit code 77: the pool is not installed.
Debian's own interpreter, because Debian's packages are what is measured.
"""
import collections
import statistics
import sys
import time


def noop(number):
    return number + 1


def open_pool(name):
    """Returns (submit, close); submit(number) gives something with result()."""
    if name == "futures":
        from concurrent.futures import ProcessPoolExecutor
        pool = ProcessPoolExecutor(2)
        return lambda number: pool.submit(noop, number), pool.shutdown
    if name == "pebble":
        from pebble import ProcessPool
        pool = ProcessPool(max_workers=2)

        def close():
            pool.close()
            pool.join()
        return lambda number: pool.schedule(noop, args=(number,)), close
    if name == "loky":
        from joblib.externals.loky import get_reusable_executor
        pool = get_reusable_executor(max_workers=2, timeout=60)
        return lambda number: pool.submit(noop, number), lambda: pool.shutdown(wait=True)
    sys.exit(f"no such pool: {name}")


class Load:
    def __init__(self, submit, time_ns, window):
        self.submit, self.time_s, self.window = submit, time_ns / 1e9, window
        self.number = 0
        self.futures = collections.deque()

    def put(self):
        self.futures.append((self.number, self.submit(self.number)))
        self.number += 1

    def take(self):
        number, future = self.futures.popleft()
        if future.result() != number + 1:
            sys.exit("it lost a task")

    def run(self, time_s, window):
        before, begun = self.number, time.monotonic()
        while time.monotonic() - begun < time_s:
            while len(self.futures) < window:
                self.put()
            self.take()
            while self.futures and self.futures[0][1].done():
                self.take()
        while self.futures:
            self.take()
        return (self.number - before) / (time.monotonic() - begun)

    def stream(self):
        return self.run(self.time_s, self.window)

    def round_trips(self, idle_s):
        samples, begun = [], time.monotonic()
        while len(samples) < 10 or time.monotonic() - begun < self.time_s:
            if idle_s:
                time.sleep(idle_s)
            start = time.monotonic()
            self.put()
            self.take()
            samples.append((time.monotonic() - start) * 1e6)
        return statistics.median(samples)

    def roundtrip(self):
        return self.round_trips(0)

    def asleep(self):
        return self.round_trips(0.001)


def main():
    name, time_ns, window = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        submit, close = open_pool(name)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(77)
    load = Load(submit, time_ns, window)
    load.run(0.03, window)  # warm-up: both workers are there
    for mode in sys.argv[4:]:
        print("%.6g" % getattr(load, mode)())
    close()


if __name__ == "__main__":
    main()
