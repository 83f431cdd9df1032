-- Everything in and around schema $1 as one row of JSON: the facts completeLayout() decides from.
-- Starts from pg_depend, not from pg_class: every object of a schema depends on it, whatever its kind, so an unknown
-- kind cannot be passed over; and it is indexed, while pg_class has no index by schema (a shared database holds
-- thousands of them). Runs under search_path = pg_catalog, so that every other name is deparsed qualified.
with place as materialized (
  select namespace.* from pg_namespace namespace where namespace.nspname = $1
),
member as materialized (
  select depend.classid, depend.objid
    from place
    join pg_depend depend on depend.refclassid = 'pg_namespace'::regclass and depend.refobjid = place.oid
),
relation as materialized (
  select class.*
    from member join pg_class class on member.classid = 'pg_class'::regclass and class.oid = member.objid
),
-- The author's own types, and what PostgreSQL made along with each: array, multirange, constructors, a composite's pg_class.
own_type as materialized (
  select type.*
    from member join pg_type type on member.classid = 'pg_type'::regclass and type.oid = member.objid
   where type.typtype in ('e', 'd', 'r')
      or type.typtype = 'c' and exists (select from pg_class where oid = type.typrelid and relkind = 'c')
),
companion as materialized (
  with recursive companion as (
    select 'pg_type'::regclass::oid as classid, own_type.oid as objid from own_type
    union
    select depend.classid, depend.objid
      from companion join pg_depend depend on depend.refclassid = companion.classid and depend.refobjid = companion.objid
     where depend.deptype = 'i'
  )
  select * from companion
),
own_routine as materialized (
  select proc.*
    from member join pg_proc proc on member.classid = 'pg_proc'::regclass and proc.oid = member.objid
   where not exists (select from companion where companion.classid = member.classid and companion.objid = member.objid)
),
-- Those of partitions are copies; those of foreign keys are PostgreSQL's.
own_trigger as materialized (
  select trigger.*, proc.proname, namespace.nspname
    from relation
    join pg_trigger trigger on trigger.tgrelid = relation.oid
    join pg_proc proc on proc.oid = trigger.tgfoid
    join pg_namespace namespace on namespace.oid = proc.pronamespace
   where not trigger.tgisinternal and trigger.tgparentid = 0
),
-- conenforced and conperiod exist from PostgreSQL 18 on; before, the names mean what stands around pg_constraint.
own_constraint as not materialized (
  select con.*
    from (select true as conenforced, false as conperiod) as before_18
    cross join lateral (select *, conenforced as enforced, conperiod as temporal from pg_constraint) as con
),
-- What our relations are made of; each may depend on something outside.
part as materialized (
  select 'pg_class'::regclass as classid, relation.oid as objid, relation.oid as relid, relation.relname as name,
         case relation.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end as kind
    from relation
  union all
  select 'pg_attrdef'::regclass, attrdef.oid, relation.oid, concat(relation.relname, '.', attribute.attname), 'default'
    from relation
    join pg_attrdef attrdef on attrdef.adrelid = relation.oid
    join pg_attribute attribute on attribute.attrelid = attrdef.adrelid and attribute.attnum = attrdef.adnum
   where attribute.attname <> 'tenant_id'
  union all
  select 'pg_constraint'::regclass, con.oid, relation.oid, concat(relation.relname, '.', con.conname), 'constraint'
    from relation join pg_constraint con on con.conrelid = relation.oid
  union all
  select 'pg_class'::regclass, index.indexrelid, relation.oid, index.indexrelid::regclass::text, 'index'
    from relation join pg_index index on index.indrelid = relation.oid
  union all
  select 'pg_rewrite'::regclass, rewrite.oid, relation.oid, relation.relname, 'view'
    from relation join pg_rewrite rewrite on rewrite.ev_class = relation.oid
   where relation.relkind = 'v'
  union all
  select companion.classid, companion.objid, null, own_type.typname, 'type'
    from companion
    left join own_type on companion.classid = 'pg_type'::regclass and own_type.oid = companion.objid
  union all
  select 'pg_proc'::regclass, own_routine.oid, null, own_routine.proname,
         case own_routine.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end
    from own_routine
  union all
  select 'pg_trigger'::regclass, own_trigger.oid, own_trigger.tgrelid, own_trigger.tgname, 'trigger'
    from own_trigger where own_trigger.nspname <> 'quickscale'
  union all
  select 'pg_constraint'::regclass, con.oid, null, concat(own_type.typname, '.', con.conname), 'domain check'
    from own_type join pg_constraint con on con.contypid = own_type.oid
)
select
  (select json_build_object(
            'name', place.nspname,
            'owner', pg_get_userbyid(place.nspowner),
            'grants', (select coalesce(json_agg(json_build_object(
                                'grantee', case grantee when 0 then 'public' else pg_get_userbyid(grantee) end,
                                'privilege', lower(privilege_type), 'grantable', is_grantable)), '[]')
                         from aclexplode(place.nspacl) where grantee <> place.nspowner))
     from place) as schema,

  (select coalesce(json_agg(fact order by fact.name), '[]') from (
    select relation.oid, relation.relname as name, relation.relkind as kind, relation.relpersistence as persistence,
           pg_get_userbyid(relation.relowner) as owner,
           relation.relam <> 0 and relation.relam <> (select oid from pg_am where amname = 'heap') as "foreignAccessMethod",
           relation.reltablespace <> 0 as "ownTablespace",
           relation.relreplident as "replicaIdentity",
           relation.relrowsecurity as "rowSecurity", relation.relforcerowsecurity as "forcedRowSecurity",
           relation.reloftype <> 0 as typed,
           relation.relkind <> 'p' and exists (select from pg_inherits where inhparent = relation.oid)
             or not relation.relispartition and exists (select from pg_inherits where inhrelid = relation.oid) as inherits,
           (select inhparent from pg_inherits where inhrelid = relation.oid and relation.relispartition) as "partitionOf",
           coalesce(relation.reloptions, '{}') as options,
           relation.relkind in ('r', 'p')
             and coalesce(obj_description(relation.oid, 'pg_class') ~ '(^|\s)@shared($|[\s.,;:!?])', false) as shared,
           relation.relkind in ('r', 'p')
             and coalesce(obj_description(relation.oid, 'pg_class') ~ '(^|\s)@append-only($|[\s.,;:!?])', false) as "appendOnly",
           (select coalesce(json_agg(json_build_object(
                     'grantee', case grantee when 0 then 'public' else pg_get_userbyid(grantee) end,
                     'privilege', lower(privilege_type), 'grantable', is_grantable)), '[]')
              from aclexplode(relation.relacl) where grantee <> relation.relowner) as grants
      from relation) fact) as relations,

  (select coalesce(json_agg(fact order by fact.relid, fact.number), '[]') from (
    select relation.oid as relid, attribute.attnum as number, attribute.attname as name,
           format_type(attribute.atttypid, attribute.atttypmod) as type,
           base.typname as "baseType", namespace.nspname as "typeSchema",
           case when base.typtype = 'c' and (select relkind from pg_class where oid = base.typrelid) <> 'c'
                then 'row' else base.typtype::text end as "typeKind",
           attribute.attnotnull as "notNull", attribute.attidentity as identity, attribute.attgenerated as generated,
           (select coalesce(json_agg(json_build_object(
                     'grantee', case grantee when 0 then 'public' else pg_get_userbyid(grantee) end,
                     'privilege', lower(privilege_type), 'grantable', is_grantable)), '[]')
              from aclexplode(attribute.attacl)) as grants,
           exists (select from regexp_matches(attrdef.adbin::text, ':(?:funcid|opfuncid) (\d+) ', 'g') as called (ids)
                     join pg_proc on pg_proc.oid = called.ids[1]::oid where provolatile <> 'i')
             or coalesce(attrdef.adbin::text ~ '{SQLVALUEFUNCTION ', false) as "changingDefault",
           pg_get_expr(attrdef.adbin, attrdef.adrelid) as "default",
           coalesce(attrdef.adbin::text ~ ':funcid (1574|1575|1576|1765|2559) ', false) as "usesSequence",
           (select depend.objid::regclass::text
              from pg_depend depend join pg_class class on class.oid = depend.objid and class.relkind = 'S'
             where depend.refclassid = 'pg_class'::regclass and depend.refobjid = relation.oid
               and depend.refobjsubid = attribute.attnum and depend.classid = 'pg_class'::regclass
               and depend.deptype = 'a' and pg_get_expr(attrdef.adbin, attrdef.adrelid)
                     = format('nextval(%L::regclass)', depend.objid::regclass::text)) is not null as serial
      from relation
      join pg_attribute attribute on attribute.attrelid = relation.oid
      join pg_type type on type.oid = attribute.atttypid
      join pg_type base on base.oid = case when type.typelem <> 0 and type.typcategory = 'A' then type.typelem else type.oid end
      join pg_namespace namespace on namespace.oid = base.typnamespace
      left join pg_attrdef attrdef on attrdef.adrelid = attribute.attrelid and attrdef.adnum = attribute.attnum
     where relation.relkind in ('r', 'p', 'v') and attribute.attnum > 0 and not attribute.attisdropped) fact) as columns,

  (select coalesce(json_agg(fact order by fact.relid, fact.name), '[]') from (
    select con.oid, con.conrelid as relid, con.conname as name, con.contype as type,
           con.condeferrable as deferrable, con.condeferred as deferred, con.convalidated as validated,
           con.enforced, con.temporal,
           con.connoinherit as "noInherit", nullif(con.conparentid, 0) as "inheritedFrom",
           con.conindid as "indexOid", con.confrelid as "parentOid",
           (select coalesce(json_agg(attname order by position), '[]')
              from unnest(con.conkey) with ordinality as key (number, position)
              join pg_attribute on attrelid = con.conrelid and attnum = key.number) as columns,
           (select coalesce(json_agg(attname order by position), '[]')
              from unnest(con.confkey) with ordinality as key (number, position)
              join pg_attribute on attrelid = con.confrelid and attnum = key.number) as "parentColumns",
           (select coalesce(json_agg(attname order by position), '[]')
              from unnest(con.confdelsetcols) with ordinality as key (number, position)
              join pg_attribute on attrelid = con.conrelid and attnum = key.number) as "setColumns",
           con.confupdtype as "onUpdate", con.confdeltype as "onDelete", con.confmatchtype as match,
           (select coalesce(json_agg(json_build_array(nspname, oprname) order by position), '[]')
              from unnest(con.conexclop) with ordinality as used (oid, position)
              join pg_operator on pg_operator.oid = used.oid
              join pg_namespace on pg_namespace.oid = oprnamespace) as operators,
           case when con.contype = 'c' then pg_get_constraintdef(con.oid) end as definition,
           (select description from pg_description
             where objoid = con.oid and classoid = 'pg_constraint'::regclass and objsubid = 0) as comment
      from relation join own_constraint con on con.conrelid = relation.oid) fact) as constraints,

  (select coalesce(json_agg(fact order by fact.relid, fact.name), '[]') from (
    select index.indexrelid as oid, index.indrelid as relid, class.relname as name, am.amname as method,
           index.indisunique as unique, index.indnullsnotdistinct as "nullsNotDistinct",
           index.indisvalid and index.indisready and index.indislive as valid,
           index.indisclustered as clustered,
           (select inhparent from pg_inherits where inhrelid = index.indexrelid) as "attachedTo", pg_get_expr(index.indpred, index.indrelid) as predicate,
           class.reltablespace <> 0 as "ownTablespace",
           coalesce(class.reloptions, '{}') as options,
           con.oid as "constraintOid",
           coalesce(con.temporal, false) as "withoutOverlaps",
           (select coalesce(json_agg(json_build_object(
                     'column', attribute.attname,
                     'expression', case when attribute.attname is null then pg_get_indexdef(index.indexrelid, n, false) end,
                     'collation', case when index.indcollation[n - 1] not in (0, coalesce(attribute.attcollation, 0))
                                       then (select json_build_array(nspname, collname) from pg_collation
                                               join pg_namespace on pg_namespace.oid = collnamespace
                                              where pg_collation.oid = index.indcollation[n - 1]) end,
                     'operatorClass', (select json_build_array(nspname, opcname) from pg_opclass
                                         join pg_namespace on pg_namespace.oid = opcnamespace
                                        where pg_opclass.oid = index.indclass[n - 1]
                                          and (not opcdefault or part.attoptions is not null)),
                     'options', coalesce(part.attoptions, '{}'),
                     'descending', index.indoption[n - 1] & 1 = 1,
                     'nullsFirst', index.indoption[n - 1] & 2 = 2) order by n), '[]')
              from generate_series(1, index.indnkeyatts) n
              join pg_attribute part on part.attrelid = index.indexrelid and part.attnum = n
              left join pg_attribute attribute on attribute.attrelid = index.indrelid and attribute.attnum = index.indkey[n - 1]
           ) as keys,
           (select coalesce(json_agg(attribute.attname order by n), '[]')
              from generate_series(index.indnkeyatts + 1, index.indnatts) n
              join pg_attribute attribute on attribute.attrelid = index.indrelid and attribute.attnum = index.indkey[n - 1]
           ) as include,
           (select description from pg_description
             where objoid = index.indexrelid and classoid = 'pg_class'::regclass and objsubid = 0) as comment
      from relation
      join pg_index index on index.indrelid = relation.oid
      join pg_class class on class.oid = index.indexrelid
      join pg_am am on am.oid = class.relam
      left join own_constraint con on con.conrelid = relation.oid and con.conindid = index.indexrelid and con.contype in ('p', 'u', 'x')
     where relation.relkind <> 't') fact) as indexes,

  (select coalesce(json_agg(fact order by fact.name), '[]') from (
    select relation.oid, relation.relname as name,
           owning.refobjid as "tableOid", attribute.attname as "column", owning.deptype = 'i' as identity,
           sequence.seqstart::text as start, sequence.seqincrement::text as increment,
           sequence.seqmin::text as minimum, sequence.seqmax::text as maximum,
           sequence.seqcache::text as cache, sequence.seqcycle as cycle,
           obj_description(relation.oid, 'pg_class') as comment
      from relation
      join pg_sequence sequence on sequence.seqrelid = relation.oid
      left join pg_depend owning on owning.classid = 'pg_class'::regclass and owning.objid = relation.oid
            and owning.refclassid = 'pg_class'::regclass and owning.refobjsubid > 0 and owning.deptype in ('a', 'i')
      left join pg_attribute attribute on attribute.attrelid = owning.refobjid and attribute.attnum = owning.refobjsubid
   ) fact) as sequences,

  (select coalesce(json_agg(fact), '[]') from (
    select policy.polrelid as relid, policy.polname as name,
           policy.polpermissive and policy.polcmd = '*' and policy.polroles = '{0}' as "forAll",
           pg_get_expr(policy.polqual, policy.polrelid) as visible,
           pg_get_expr(policy.polwithcheck, policy.polrelid) as writable
      from relation join pg_policy policy on policy.polrelid = relation.oid) fact) as policies,

  -- Which relations a view reads, pinned catalogs included (pg_depend does not record those), and which keys its
  -- GROUP BY relies on. Inside a node tree a space in a name is escaped, so ' :relid ' is always the field.
  (select coalesce(json_agg(fact), '[]') from (
    select relation.oid as relid,
           (select coalesce(json_agg(distinct read.oid::regclass::text), '[]')
              from regexp_matches(rewrite.ev_action::text, ' :relid (\d+) ', 'g') as found (ids)
              join pg_class read on read.oid = found.ids[1]::oid
             where read.relnamespace <> relation.relnamespace) as "readsOutside",
           rewrite.ev_action::text ~ ' :funcid (1574|1575|1576|1765|2559) ' as "usesSequence",
           (select coalesce(json_agg(distinct con.conname), '[]')
              from pg_depend depend join pg_constraint con on con.oid = depend.refobjid
             where depend.classid = 'pg_rewrite'::regclass and depend.objid = rewrite.oid
               and depend.refclassid = 'pg_constraint'::regclass) as "reliesOnKeys"
      from relation join pg_rewrite rewrite on rewrite.ev_class = relation.oid and rewrite.rulename = '_RETURN'
     where relation.relkind = 'v') fact) as views,

  (select coalesce(json_agg(fact order by fact.name), '[]') from (
    select type.oid, type.typname as name, type.typtype as kind, pg_get_userbyid(type.typowner) as owner,
           -- Until 17 the multirange does not follow when its range is given to somebody else.
           (select range.rngmultitypid::regtype::text from pg_range range
             where range.rngtypid = type.oid and current_setting('server_version_num')::integer < 170000) as "ownedMultirange",
           type.typacl is not null as "ownGrants",
           coalesce(type.typdefaultbin::text ~ ':funcid (1574|1575|1576|1765|2559) ', false) as "usesSequence",
           (select coalesce(json_agg(json_build_object(
                     'name', piece.name, 'type', format_type(piece.type, piece.modifier),
                     'baseType', base.typname, 'typeSchema', namespace.nspname,
                     'typeKind', case when base.typtype = 'c' and (select relkind from pg_class where oid = base.typrelid) <> 'c'
                                      then 'row' else base.typtype::text end) order by piece.number), '[]')
              from (select null::name, type.typbasetype, type.typtypmod, 0 where type.typtype = 'd'
                    union all
                    select null, rngsubtype, -1, 0 from pg_range where rngtypid = type.oid
                    union all
                    select attname, atttypid, atttypmod, attnum from pg_attribute
                     where type.typtype = 'c' and attrelid = type.typrelid and attnum > 0 and not attisdropped
                   ) as piece (name, type, modifier, number)
              join pg_type whole on whole.oid = piece.type
              join pg_type base on base.oid = case when whole.typelem <> 0 and whole.typcategory = 'A' then whole.typelem else whole.oid end
              join pg_namespace namespace on namespace.oid = base.typnamespace) as pieces
      from own_type type) fact) as types,

  (select coalesce(json_agg(fact order by fact.identity), '[]') from (
    select own_routine.oid, own_routine.proname as name, found.identity, own_routine.prokind as kind,
           language.lanname as language, pg_get_userbyid(own_routine.proowner) as owner,
           own_routine.prosecdef as definer, own_routine.proleakproof as leakproof, own_routine.prosupport <> 0 as support,
           own_routine.proacl is not null as "ownGrants",
           own_routine.prorettype = 'pg_catalog.trigger'::regtype as "returnsTrigger",
           exists (select from pg_depend
                    where refclassid = 'pg_proc'::regclass and refobjid = own_routine.oid
                      and classid in ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_class'::regclass,
                                      'pg_trigger'::regclass, 'pg_type'::regclass)) as attached,
           coalesce(own_routine.proconfig, '{}') as settings,
           coalesce(format('search_path=%I, extensions, pg_temp', place.nspname) = any (own_routine.proconfig), false) as "placePath",
           coalesce(pg_get_function_sqlbody(own_routine.oid), own_routine.prosrc) as source,
           own_routine.prosqlbody is not null as atomic,
           case when own_routine.prosrc ~* 'conflict' and own_routine.prokind in ('f', 'p')
                then pg_get_functiondef(own_routine.oid) end as definition,
           (select coalesce(json_agg(distinct con.conname), '[]')
              from pg_depend depend join pg_constraint con on con.oid = depend.refobjid
             where depend.classid = 'pg_proc'::regclass and depend.objid = own_routine.oid
               and depend.refclassid = 'pg_constraint'::regclass) as "reliesOnKeys"
      from own_routine cross join place
      join pg_language language on language.oid = own_routine.prolang
      cross join lateral pg_identify_object('pg_proc'::regclass, own_routine.oid, 0) as found) fact) as routines,

  (select coalesce(json_agg(fact order by fact.identity), '[]') from (
    select own_trigger.tgname as name, found.identity, own_trigger.tgrelid as "relationOid",
           own_trigger.nspname as "functionSchema", own_trigger.proname as "functionName", own_trigger.tgenabled as enabled,
           own_trigger.tgtype & 19 = 19 as "changesUpdatedRow", own_trigger.tgtype & 7 = 7 as "changesInsertedRow"
      from own_trigger
      cross join lateral pg_identify_object('pg_trigger'::regclass, own_trigger.oid, 0) as found) fact) as triggers,

  -- Whatever is in the schema and is of no kind above; or hangs on one of those from elsewhere;
  -- or was left by the migration somewhere else.
  (select coalesce(json_agg(distinct jsonb_build_object('kind', found.type, 'object', found.identity, 'where', strange.place)), '[]') from (
    select member.classid, member.objid, 'schema' as place
      from member
     where (member.classid <> 'pg_class'::regclass
            or exists (select from relation where relation.oid = member.objid and relation.relkind not in ('r', 'p', 'v', 'S')))
       and not exists (select from companion where companion.classid = member.classid and companion.objid = member.objid)
       and not exists (select from own_routine where member.classid = 'pg_proc'::regclass and oid = member.objid)
    union all
    select 'pg_rewrite'::regclass, rewrite.oid, 'schema'
      from relation join pg_rewrite rewrite on rewrite.ev_class = relation.oid
     where rewrite.rulename <> '_RETURN'
    union all
    select depend.classid, depend.objid, 'attached'
      from relation
      join pg_depend depend on depend.refclassid = 'pg_class'::regclass and depend.refobjid = relation.oid
     where case depend.classid
             when 'pg_class'::regclass then not exists (
               select from pg_class where oid = depend.objid
                  and (relkind in ('i', 'I', 't') or oid in (select oid from relation)))
             when 'pg_type'::regclass then depend.deptype <> 'i'
             when 'pg_attrdef'::regclass then not exists (
               select from pg_attrdef where oid = depend.objid and adrelid in (select oid from relation))
             when 'pg_constraint'::regclass then not exists (
               select from pg_constraint where oid = depend.objid and conrelid in (select oid from relation))
             when 'pg_trigger'::regclass then not exists (
               select from pg_trigger where oid = depend.objid and (tgisinternal or tgrelid in (select oid from relation)))
             when 'pg_rewrite'::regclass then not exists (
               select from pg_rewrite where oid = depend.objid and ev_class in (select oid from relation))
             when 'pg_policy'::regclass then not exists (
               select from pg_policy where oid = depend.objid and polrelid in (select oid from relation))
             -- What a move reads; doctor/streams.ts names those of no move that is under way.
             when 'pg_publication_rel'::regclass then not exists (
               select from pg_publication_rel published join pg_publication on pg_publication.oid = published.prpubid
                where published.oid = depend.objid and pubname ~ '^quickscale_[0-9a-f]{32}_(there|back)$')
             else not exists (select from member where member.classid = depend.classid and member.objid = depend.objid)
           end
    union all
    select depend.classid, depend.objid, 'attached'
      from (select classid, objid from companion union all select 'pg_proc'::regclass, oid from own_routine) made
      join pg_depend depend on depend.refclassid = made.classid and depend.refobjid = made.objid
     where not (depend.classid = 'pg_trigger'::regclass and exists (
                  select from pg_trigger where oid = depend.objid and tgrelid in (select oid from relation)))
       and not exists (select from part where part.classid = depend.classid and part.objid = depend.objid)
       and not exists (select from member where member.classid = depend.classid and member.objid = depend.objid)
    union all
    select shared.classid, shared.objid, 'elsewhere'
      from pg_shdepend shared
     where shared.refclassid = 'pg_authid'::regclass
       and shared.refobjid = (select oid from pg_roles where rolname = 'quickscale_migrator')
       and shared.deptype = 'o'
       and shared.dbid in (0, (select oid from pg_database where datname = current_database()))
       and not exists (select from member where member.classid = shared.classid and member.objid = shared.objid)
       and not exists (select from companion where companion.classid = shared.classid and companion.objid = shared.objid)
  ) strange cross join lateral pg_identify_object(strange.classid, strange.objid, 0) as found) as strangers,

  -- What our objects use that is neither built in (made by initdb, so below the first normal oid) nor in the schema.
  (select coalesce(json_agg(distinct jsonb_build_object(
            'kind', part.kind, 'object', part.name, 'uses', concat(found.type, ' ', found.identity), 'schema', found.schema,
            'extension', (select extname from pg_depend belongs join pg_extension on pg_extension.oid = belongs.refobjid
                           where belongs.classid = depend.refclassid and belongs.deptype = 'e'
                             and belongs.objid in (depend.refobjid, (select typelem from pg_type
                                   where depend.refclassid = 'pg_type'::regclass and oid = depend.refobjid))
                           limit 1))), '[]')
     from part
     join pg_depend depend on depend.classid = part.classid and depend.objid = part.objid
     cross join lateral pg_identify_object(depend.refclassid, depend.refobjid, 0) as found
    where (depend.refobjid >= 16384 or depend.refclassid = 'pg_class'::regclass)
      and depend.refclassid <> 'pg_namespace'::regclass
      and not exists (select from member where member.classid = depend.refclassid and member.objid = depend.refobjid)
      and not exists (select from part own where own.classid = depend.refclassid and own.objid = depend.refobjid)
      and not (depend.refclassid = 'pg_type'::regclass
               and exists (select from pg_type where oid = depend.refobjid
                              and (typrelid in (select oid from relation) or typelem in (
                                     select element.oid from pg_type element
                                      where element.typrelid in (select oid from relation) and element.typrelid <> 0)
                                   or typelem in (select objid from member where classid = 'pg_type'::regclass))))
  ) as outsiders,

  (select count(*)::integer from pg_default_acl
    where defaclrole in (select oid from pg_roles where rolname in ('quickscale_migrator', 'quickscale_owner'))
  ) as "defaultGrants"
