\set ON_ERROR_STOP on
\set people 'person'
\echo building
/* a comment /* with another ; inside */ and a ' quote */
DROP DATABASE IF EXISTS shop;
CREATE DATABASE shop;
\c shop
DROP TABLE person;
BEGIN;
CREATE TABLE :people (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'no; body', born date); -- a comment; here
CREATE TABLE pet (
  id int PRIMARY KEY,
  owner int REFERENCES :"people" ON DELETE CASCADE,
  kind varchar(10) CHECK (kind IN ('cat', 'dog'))
);
COMMIT;
\if :{?people}
INSERT INTO person (name, born) VALUES (E'O\'Brien; \\', '1990-01-01'), ($$it's; $$, NULL), ($q$ $$ $q$, '2000-02-29');
\else
INSERT INTO person (name) VALUES ('never');
\endif
INSERT INTO pet VALUES (1, 1, 'cat'); INSERT INTO pet VALUES (2, 2, 'dog');
INSERT INTO pet SELECT n, 1 + n % 3, 'cat' FROM generate_series(3, 2000) AS n;
CREATE TABLE breed (id serial PRIMARY KEY, name text NOT NULL UNIQUE, since date);
COMMENT ON TABLE breed IS 'the same for everybody: @shared';
INSERT INTO breed (name) VALUES ('Manx'), ('Pug');
ALTER TABLE person ADD likes text REFERENCES breed (name);
UPDATE person SET likes = 'Manx' WHERE id = 1;
CREATE INDEX pet_kind_idx ON pet (kind);
CREATE VIEW cats AS SELECT * FROM pet WHERE kind = 'cat';
\frobnicate
INSERT INTO person (name) VALUES (:'people'), ('a'::text)
