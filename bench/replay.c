/*
 * The replay loop's work in C: region -> slot -> leaf table -> entry, accessed/dirty bits, node of
 * the frame, accesses per node and kind, stop when an entry refuses. Same data layout and same
 * lookups as src/sim/replayLoop.ts, so that the ratio tells what the language costs.
 * Usage: replay PAGES RUNS KIND(zipf|uniform) < page words (Uint32) on stdin; prints seconds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint32_t *words, *pmd, *page;
static int32_t *leaf, *slot_of_region;
static uint16_t *weight;
static uint8_t *nid_of_block;
static double counts[64];

static size_t replay(size_t from, size_t end, double limit)
{
	size_t i = from;
	double accesses = 0;
	while (i < end) {
		uint32_t word = page[i];
		int32_t slot = slot_of_region[word >> 10];
		uint32_t write = word & 1, need = 1 | write << 3, set = 2 | write << 2, entry;
		int32_t table = leaf[slot];
		if (table >= 0) {
			uint32_t at = (uint32_t)table << 9 | (word >> 1 & 511);
			entry = words[at];
			if ((entry & need) != need)
				break;
			words[at] = entry | set;
		} else {
			entry = pmd[slot];
			if ((entry & need) != need)
				break;
			pmd[slot] = entry | set;
		}
		uint32_t n = weight[i], nid2 = (uint32_t)nid_of_block[entry >> 13] << 1;
		counts[nid2 | write] += n;
		accesses += n;
		i++;
		if (accesses >= limit)
			break;
	}
	return i;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t pages = strtoull(argv[1], 0, 10), runs = strtoull(argv[2], 0, 10), tables = pages / 512;
	words = malloc(pages * 4);
	pmd = calloc(tables, 4);
	leaf = malloc(tables * 4);
	slot_of_region = malloc(tables * 4);
	page = malloc(runs * 4);
	weight = malloc(runs * 2);
	nid_of_block = malloc(pages / 512);
	for (size_t i = 0; i < pages; i++)
		words[i] = (uint32_t)i << 4 | 1 | 8;
	for (size_t i = 0; i < tables; i++) {
		leaf[i] = slot_of_region[i] = (int32_t)i;
		nid_of_block[i] = i < tables / 4 ? 0 : 1;
	}
	for (size_t i = 0; i < runs; i++)
		weight[i] = 1;
	if (fread(page, 4, runs, stdin) != runs)
		return 3;
	double best = 1e9;
	for (int round = 0; round < 5; round++) {
		struct timespec a, b;
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (size_t at = 0; at < runs; at += 4096)
			if (replay(at, at + 4096 < runs ? at + 4096 : runs, 1e18) == at)
				return 4;
		clock_gettime(CLOCK_MONOTONIC, &b);
		double s = (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9;
		if (s < best)
			best = s;
	}
	printf("%.9f\n", best);
	return 0;
}
