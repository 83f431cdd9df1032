CREATE TABLE kept (id integer PRIMARY KEY, name text);
INSERT INTO kept VALUES (1, 'one');
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM kept;
CREATE VIEW twice AS SELECT n * 2 AS n FROM counted;
CREATE UNLOGGED TABLE lost (id integer PRIMARY KEY);
INSERT INTO lost VALUES (1);
