-- Lets an index serve `tsvector @@ tsquery` and `jsonb @> jsonb` beside a policy. Neither may be LEAKPROOF: what they
-- raise depends on the row. So rewriting adds a second condition with an operator that is, because it is true for every
-- row: `words operator(quickscale.@@) quickscale.bound_query(q) and words @@ q`. Only the index gives it a meaning: it
-- is a further operator of the families that serve the first one, with the same strategy, which leads to the rows that
-- might match. Those pass the policy, and then the condition as it was written. docs/internals/leakproof.md.
-- Only a superuser may; elsewhere nothing is added.
do $hints$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;

  -- Domains, to tell the operators apart; and for the check: an index descends as deep as the query is nested, by what it
  -- finds in the entries of any tenant.
  create domain quickscale.search_query as pg_catalog.tsquery
    check (pg_catalog.numnode(value) operator(pg_catalog.<=) 256);
  create domain quickscale.search_document as pg_catalog.jsonb;

  -- btequalimage is one of the functions in the server that return true and look at nothing.
  create function quickscale.may_match(words pg_catalog.tsvector, query quickscale.search_query) returns boolean
    language internal immutable strict parallel safe leakproof as 'btequalimage';
  create function quickscale.may_contain(document pg_catalog.jsonb, part quickscale.search_document) returns boolean
    language internal immutable strict parallel safe leakproof as 'btequalimage';
  -- These estimators are constants and read no statistics.
  create operator quickscale.@@ (leftarg = tsvector, rightarg = quickscale.search_query,
    function = quickscale.may_match, restrict = contsel, join = contjoinsel);
  create operator quickscale.@> (leftarg = jsonb, rightarg = quickscale.search_document,
    function = quickscale.may_contain, restrict = contsel, join = contjoinsel);
  alter operator family pg_catalog.tsvector_ops using gin add operator 1 quickscale.@@ (tsvector, quickscale.search_query);
  alter operator family pg_catalog.tsvector_ops using gist add operator 1 quickscale.@@ (tsvector, quickscale.search_query);
  alter operator family pg_catalog.jsonb_ops using gin add operator 7 quickscale.@> (jsonb, quickscale.search_document);
  alter operator family pg_catalog.jsonb_path_ops using gin add operator 7 quickscale.@> (jsonb, quickscale.search_document);

  -- Not called as the domains are: domain(literal) is a cast. Not in SQL: inlined, they would leave a cast to the domain,
  -- which counts as leaky. A query of more nodes becomes one that every row might match, and never an error.
  create function quickscale.bound_query(query pg_catalog.tsquery) returns quickscale.search_query
    language plpgsql immutable strict parallel safe as $body$
    begin
      return case when pg_catalog.numnode(query) operator(pg_catalog.<=) 256 then query
                  else pg_catalog.tsquery 'a | !a' end;
    end $body$;
  create function quickscale.bound_document(part pg_catalog.jsonb) returns quickscale.search_document
    language plpgsql immutable strict parallel safe as $body$ begin return part; end $body$;

  alter domain quickscale.search_query owner to quickscale_seal;
  alter domain quickscale.search_document owner to quickscale_seal;
  alter function quickscale.may_match owner to quickscale_seal;
  alter function quickscale.may_contain owner to quickscale_seal;
  alter function quickscale.bound_query owner to quickscale_seal;
  alter function quickscale.bound_document owner to quickscale_seal;
  alter operator quickscale.@@ (tsvector, quickscale.search_query) owner to quickscale_seal;
  alter operator quickscale.@> (jsonb, quickscale.search_document) owner to quickscale_seal;
  revoke all on function quickscale.may_match, quickscale.may_contain, quickscale.bound_query,
    quickscale.bound_document from public;
  grant execute on function quickscale.may_match, quickscale.may_contain, quickscale.bound_query,
    quickscale.bound_document to quickscale_runtime, quickscale_reader, quickscale_owner, quickscale_migrator;
end
$hints$;
