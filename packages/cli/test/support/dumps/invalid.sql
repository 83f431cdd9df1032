-- Constraints that hold for new rows only, or ask another table, and what refers to partitions and periods.
CREATE EXTENSION btree_gist;
CREATE SCHEMA quickscale;
CREATE SCHEMA shop;
CREATE TYPE public.kind AS ENUM ('plain');
CREATE TYPE shop.kind AS ENUM ('fine');
CREATE FUNCTION public.rank() RETURNS integer LANGUAGE sql AS 'select 1';
CREATE FUNCTION shop.rank() RETURNS integer LANGUAGE sql AS 'select 2';

CREATE TABLE public.zone (code text PRIMARY KEY, open boolean NOT NULL);
CREATE FUNCTION public.is_open(wanted text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT open FROM public.zone WHERE code = wanted $$;
CREATE DOMAIN public.open_zone AS text CONSTRAINT open_zone_check CHECK (public.is_open(VALUE));
INSERT INTO public.zone VALUES ('a', true), ('b', true), ('c', false);
CREATE TABLE public.account (
  id integer PRIMARY KEY, zone text, other public.open_zone, amount numeric,
  CONSTRAINT account_open CHECK (public.is_open(zone))
);
COMMENT ON CONSTRAINT account_open ON public.account IS 'asks a table';
INSERT INTO public.account VALUES (1, 'a', 'b', -5), (2, 'b', 'a', 7);
ALTER TABLE public.account ADD CONSTRAINT account_positive CHECK (amount > 0) NOT VALID;

CREATE TABLE shop.account (id integer PRIMARY KEY, kind shop.kind DEFAULT 'fine'::shop.kind, plain public.kind, rank integer DEFAULT shop.rank());
INSERT INTO shop.account VALUES (1, 'fine', 'plain', 3), (2, NULL, NULL, NULL);
CREATE VIEW shop.kinds AS SELECT kind, plain FROM shop.account;

CREATE TABLE public.quickscale_note (id integer PRIMARY KEY, note text NOT NULL);
CREATE INDEX quickscale_note_note ON public.quickscale_note (note);
INSERT INTO public.quickscale_note VALUES (1, 'a'), (2, 'b');
CREATE TABLE quickscale.account (id serial PRIMARY KEY, note integer REFERENCES public.quickscale_note);
INSERT INTO quickscale.account (note) VALUES (1), (2);

CREATE TABLE public.measure (id integer, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.measure_2023 PARTITION OF public.measure FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE public.measure_later PARTITION OF public.measure DEFAULT;
CREATE TABLE public.reading (id integer PRIMARY KEY, measure integer, at date, FOREIGN KEY (measure, at) REFERENCES public.measure ON DELETE CASCADE);
INSERT INTO public.measure VALUES (1, '2023-05-05'), (2, '2025-05-05');
INSERT INTO public.reading VALUES (1, 1, '2023-05-05'), (2, 2, '2025-05-05'), (3, NULL, NULL);
