CREATE EXTENSION btree_gist;
CREATE TABLE room (id integer, at daterange, name text, PRIMARY KEY (id, at WITHOUT OVERLAPS));
CREATE TABLE booking (id integer PRIMARY KEY, room integer, at daterange, FOREIGN KEY (room, PERIOD at) REFERENCES room (id, PERIOD at));
INSERT INTO room VALUES (1, '[2020-01-01,2020-02-01)', 'small'), (1, '[2020-02-01,2020-03-01)', 'large');
INSERT INTO booking VALUES (1, 1, '[2020-01-15,2020-02-15)'), (2, NULL, NULL);
CREATE TABLE loose (id integer, name text, size integer);
INSERT INTO loose VALUES (1, NULL, -1), (2, 'b', 2);
ALTER TABLE loose ADD CONSTRAINT loose_name NOT NULL name NOT VALID;
ALTER TABLE loose ADD CONSTRAINT loose_size CHECK (size > 0) NOT ENFORCED;
