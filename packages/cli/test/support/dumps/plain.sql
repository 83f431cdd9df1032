--
-- PostgreSQL database dump
--

\restrict kQvYx0aT3

-- Dumped from database version 17.6

SET statement_timeout = 0;
SET lock_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET row_security = off;

CREATE SCHEMA sales;
ALTER SCHEMA sales OWNER TO nobody_here;
CREATE SCHEMA app AUTHORIZATION nobody_here;

SET default_tablespace = '';
SET default_table_access_method = heap;

CREATE TABLE public."order" (
    "Id" integer NOT NULL,
    "große Menge" numeric(12,3) DEFAULT 1.5 NOT NULL,
    "select" text,
    at timestamp with time zone DEFAULT '2020-01-01 00:00:00+00'::timestamp with time zone,
    ratio double precision,
    data jsonb,
    tags text[],
    raw bytea,
    span interval,
    CONSTRAINT "positive" CHECK (("große Menge" > (0)::numeric))
);
ALTER TABLE public."order" OWNER TO nobody_here;
COMMENT ON TABLE public."order" IS 'a table; named like a keyword';

CREATE SEQUENCE public.odd_name
    AS integer
    START WITH 10
    INCREMENT BY 5
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.odd_name OWNED BY public."order"."Id";
ALTER TABLE ONLY public."order" ALTER COLUMN "Id" SET DEFAULT nextval('public.odd_name'::regclass);

CREATE TABLE sales."order" (
    id bigint NOT NULL,
    boss bigint,
    public_order integer,
    code character(3),
    note character varying(40)
);
ALTER TABLE sales."order" ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME sales.order_id_seq START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1
);

CREATE TABLE app.chicken (id uuid NOT NULL, egg uuid);
CREATE TABLE app.egg (id uuid NOT NULL, chicken uuid);
CREATE TABLE sales.a_name_of_sixty_three_bytes_which_is_the_longest_there_may_be_x (
    key date NOT NULL, empty text
);

CREATE VIEW sales.totals AS
 SELECT s.id, s.note, o."große Menge" AS amount
   FROM (sales."order" s JOIN public."order" o ON ((o."Id" = s.public_order)));
CREATE VIEW sales.sums AS
 SELECT totals.note, sum(totals.amount) AS amount, string_agg(totals.note, ', ') AS notes
   FROM sales.totals
  GROUP BY totals.note;

COPY public."order" ("Id", "große Menge", "select", at, ratio, data, tags, raw, span) FROM stdin;
10	1.000	plain	2024-02-29 12:00:00+00	0.1	{"a": [1, null]}	{a,"b c",NULL}	\\x00ff	1 mon 2 days
15	2.500	tab\tnew\nline \\. back\\slash	\N	NaN	null	{}	\\x	-00:00:01
20	3.000		infinity	-1.7976931348623157e+308	\N	\N	\N	\N
25	4.000	Ünïcödé 漢字 🐘	2024-01-01 00:00:00.000001+05:30	5e-324	"x;y"	{{1,2},{3,4}}	\\x5c2e	1 year
\.

COPY sales."order" (id, boss, public_order, code, note) FROM stdin;
1	\N	10	abc	first
2	1	15	x  	second; with 'quotes' and "more"
3	2	10	\N	first
\.

COPY app.chicken (id, egg) FROM stdin;
11111111-1111-4111-8111-111111111111	22222222-2222-4222-8222-222222222222
\.
COPY app.egg (id, chicken) FROM stdin;
22222222-2222-4222-8222-222222222222	11111111-1111-4111-8111-111111111111
\.

COPY sales.a_name_of_sixty_three_bytes_which_is_the_longest_there_may_be_x (key, empty) FROM stdin;
\.

SELECT pg_catalog.setval('public.odd_name', 25, true);
SELECT pg_catalog.setval('sales.order_id_seq', 3, true);

ALTER TABLE ONLY public."order" ADD CONSTRAINT order_pkey PRIMARY KEY ("Id");
ALTER TABLE ONLY sales."order" ADD CONSTRAINT order_pkey PRIMARY KEY (id);
ALTER TABLE ONLY sales."order" ADD CONSTRAINT order_code_key UNIQUE (code) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY app.chicken ADD CONSTRAINT chicken_pkey PRIMARY KEY (id);
ALTER TABLE ONLY app.egg ADD CONSTRAINT egg_pkey PRIMARY KEY (id);
ALTER TABLE ONLY sales.a_name_of_sixty_three_bytes_which_is_the_longest_there_may_be_x ADD CONSTRAINT long_pkey PRIMARY KEY (key);
CREATE INDEX order_note_idx ON sales."order" USING btree (note DESC, public_order);
CREATE INDEX order_amount_idx ON public."order" USING btree ("große Menge");
ALTER TABLE ONLY sales."order" ADD CONSTRAINT boss_fkey FOREIGN KEY (boss) REFERENCES sales."order"(id) ON DELETE SET NULL;
ALTER TABLE ONLY sales."order" ADD CONSTRAINT public_fkey FOREIGN KEY (public_order) REFERENCES public."order"("Id") ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY app.chicken ADD CONSTRAINT egg_fkey FOREIGN KEY (egg) REFERENCES app.egg(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY app.egg ADD CONSTRAINT chicken_fkey FOREIGN KEY (chicken) REFERENCES app.chicken(id);

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT SELECT ON TABLE sales."order" TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE nobody_here IN SCHEMA sales GRANT SELECT ON TABLES TO reporting;

\unrestrict kQvYx0aT3
