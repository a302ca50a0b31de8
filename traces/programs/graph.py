"""Searches in a road-like network: a lattice with a few long links, made with a fixed seed.

Usage: graph.py SIDE NEI PROBABILITY. Breadth-first search goes through memory as a wave;
components and coreness visit every edge in other orders. Debian package python3-igraph.
"""
import random
import sys

import igraph

side, nei, probability = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
random.seed(7)
igraph.set_random_number_generator(random)
graph = igraph.Graph.Watts_Strogatz(2, side, nei, probability)
print("made", graph.vcount(), graph.ecount(), flush=True)
print("reached", len(graph.bfs(0)[0]), flush=True)
print("components", len(graph.connected_components()), flush=True)
print("highest core", max(graph.coreness()), flush=True)
