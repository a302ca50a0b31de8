-- Phases: a report over a month, look-ups of some customers, a scan, a large sort, look-ups of
-- items.
PRAGMA mmap_size = 1073741824;
PRAGMA cache_size = -65536;
PRAGMA temp_store = MEMORY;
SELECT region, count(*), sum(cents) FROM orders JOIN customer ON customer.id = orders.customer
WHERE day BETWEEN 300 AND 330 GROUP BY region ORDER BY 3 DESC LIMIT 3;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
SELECT count(*), sum(cents) FROM n JOIN orders
ON orders.customer = 1 + (i * i * 31 + i * 17) % 20000;
SELECT count(*), sum(length(note)) FROM orders WHERE cents % 7 = 3;
SELECT count(*) FROM (SELECT DISTINCT customer, item FROM orders WHERE day >= 200);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
SELECT count(*), sum(cents) FROM n JOIN orders
ON orders.item = 20000 + (i * i * 31 + i * 17) % 5000;
