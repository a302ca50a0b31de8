-- A shop's database: 250,000 customers, 1.9 million orders, two indexes. The same bytes each time.
PRAGMA page_size = 4096;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, region INT, note TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INT, day INT, cents INT, item INT, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
INSERT INTO customer
SELECT i, printf('customer %08d', (i * 2654435761) % 250007), (i * 40503) % 97, printf('%0120d', i)
FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1900000)
INSERT INTO orders
SELECT i, 1 + (i * 2654435761) % 250000, i / 5205, (i * 7919) % 100000, (i * 104729) % 50000,
  printf('%080d', i)
FROM n;
CREATE INDEX orders_customer ON orders(customer);
CREATE INDEX orders_item ON orders(item);
