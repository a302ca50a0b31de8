"""The visitors of a web application, as Python objects: built, used in phases, expired.

Usage: visitors.py VISITORS REQUESTS. In each of three phases 85 % of the requests go to one
twelfth of the visitors, those that were created together; then the oldest expire.
"""
import os
import sys

nr_visitors, nr_requests = int(sys.argv[1]), int(sys.argv[2])
state = 12345


def draw(below):
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
    return (state >> 33) % below


visitors = {}
by_user = {}
for i in range(nr_visitors):
    user = "u%07d" % (i * 7919 % nr_visitors)
    visitors[i] = {
        "id": i, "user": user, "cart": [i % 97, i % 89], "seen": 0.0, "note": "x" * (20 + i % 50),
    }
    by_user.setdefault(user, []).append(i)
print("built", len(visitors), flush=True)
hits = 0
for phase in range(3):
    base = phase * nr_visitors // 4
    for k in range(nr_requests):
        i = base + draw(nr_visitors // 12) if draw(100) < 85 else draw(nr_visitors)
        visitor = visitors.get(i)
        if visitor is None:
            continue
        visitor["seen"] += 1.0
        hits += len(by_user[visitor["user"]])
        if k % 16 == 0:
            visitor["cart"] = visitor["cart"][-3:] + [k]
    for i in range(base, base + nr_visitors // 20):
        visitor = visitors.pop(i, None)
        if visitor is not None:
            by_user[visitor["user"]].remove(i)
    print("phase", phase, hits, flush=True)
# As a server that is stopped: without freeing object by object.
os._exit(0)
