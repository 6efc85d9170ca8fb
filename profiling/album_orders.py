#!/usr/bin/env python3
"""Album times on an ideal device, in several orders of work: what any batching policy could reach at most.

The device serves photos one by one at a constant rate, without loss by batches, and changes between albums at no cost. 30 users send
albums of 20 to 100 photos with exponential pauses, as `engine-bench simulate --arrivals albums` does.

    python album_orders.py [RATE]     photos per second; 2797 is ViT-B/32 on a T4, modelled
"""

import random
import statistics
import sys

USERS, LEAST, MOST, ALBUMS = 30, 20, 100, 6000


def traffic(load, rate, seed):
    """(arrival, seconds of work) of each album, by arrival."""
    draw = random.Random(seed)
    pause = USERS * (LEAST + MOST) / 2 / (rate * load)
    end = ALBUMS * (LEAST + MOST) / 2 / (rate * load)
    albums = []
    for _ in range(USERS):
        at = draw.expovariate(1 / pause)
        while at < end:
            albums.append((at, draw.randint(LEAST, MOST) / rate))
            at += draw.expovariate(1 / pause)
    return sorted(albums)


def serve(albums, key, bound=float("inf")):
    """Times of the albums. Works on the one with the least key(arrival, work, left); those that waited `bound` go first, by arrival."""
    times, active, now, coming = [], [], 0.0, 0
    while coming < len(albums) or active:
        if not active:
            now = max(now, albums[coming][0])
        while coming < len(albums) and albums[coming][0] <= now + 1e-12:
            at, work = albums[coming]
            active.append([at, work, work])
            coming += 1
        old = [album for album in active if now - album[0] >= bound]
        chosen = min(old) if old else min(active, key=lambda album: key(*album))
        step = chosen[2]
        if coming < len(albums):
            step = min(step, albums[coming][0] - now)
        young = [album[0] + bound - now for album in active if now - album[0] < bound]
        step = min([step, *(max(left, 1e-9) for left in young)])
        now += step
        chosen[2] -= step
        if chosen[2] <= 1e-12:
            active.remove(chosen)
            times.append(now - chosen[0])
    return sorted(times)


def share(times, part):
    return 1e3 * times[int(part * (len(times) - 1))]


def main():
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 2797.0
    orders = {
        "arrival": lambda at, work, left: at,
        "shortest remaining": lambda at, work, left: left,
        "due by 1 x work": lambda at, work, left: at + work,
        "due by 4 x work": lambda at, work, left: at + 4 * work,
    }
    print("| load | order | p50 ms | p99 ms |\n|---:|---|---:|---:|")
    for load in (0.3, 0.5, 0.7, 0.9):
        rows = {}
        for seed in (1, 2, 3):
            albums = traffic(load, rate, seed)
            first = serve(albums, orders["arrival"])
            for name, key in orders.items():
                times = first if name == "arrival" else serve(albums, key)
                rows.setdefault(name, []).append((share(times, 0.5), share(times, 0.99)))
            bound = share(first, 0.9) / 1e3
            times = serve(albums, orders["shortest remaining"], bound)
            rows.setdefault("shortest remaining, no wait over p90", []).append((share(times, 0.5), share(times, 0.99)))
        for name, seeds in rows.items():
            middle = [statistics.median(column) for column in zip(*seeds)]
            print(f"| {load:.0%} | {name} | {middle[0]:.0f} | {middle[1]:.0f} |")


if __name__ == "__main__":
    main()
