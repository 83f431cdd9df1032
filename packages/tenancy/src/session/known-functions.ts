/**
 * Built-in functions that neither run SQL given as text nor touch anything that outlives a transaction. Whatever is
 * not listed counts as unknown, which costs one more message in the flush, never a refusal.
 */
const names = `
abs age array_agg array_append array_cat array_length array_position array_prepend array_remove array_to_json
array_to_string array_upper avg bit_length bool_and bool_or btrim cardinality ceil ceiling char_length coalesce
concat concat_ws convert_from convert_to count cume_dist current_database current_schema date_bin date_part
date_trunc decode dense_rank div encode every exp extract first_value float8 floor format gen_random_uuid
generate_series generate_subscripts greatest initcap int4 int8 isfinite json_agg json_array_elements
json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
json_extract_path json_extract_path_text json_object json_object_agg json_object_keys json_strip_nulls json_to_record
json_to_recordset json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length
jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
jsonb_object jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_pretty jsonb_set
jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lag
last_value lead least left length ln log lower lpad ltrim make_date make_interval make_time make_timestamp
make_timestamptz max md5 min mod mode now nth_value ntile nullif num_nonnulls num_nulls numeric octet_length overlay
percent_rank percentile_cont percentile_disc plainto_tsquery phraseto_tsquery position power quote_ident
quote_literal quote_nullable random rank regexp_count regexp_like regexp_match regexp_matches regexp_replace
regexp_split_to_array regexp_split_to_table repeat replace reverse right round row_number row_to_json rpad rtrim
setweight sha256 sha512 sign split_part sqrt starts_with statement_timestamp stddev string_agg string_to_array
string_to_table strpos substr substring sum text timezone to_char to_date to_json to_jsonb to_number to_timestamp
to_tsquery to_tsvector transaction_timestamp clock_timestamp translate trim trunc ts_headline ts_rank ts_rank_cd
unnest upper uuidv4 uuidv7 variance websearch_to_tsquery width_bucket
`

const known = new Set(names.split(/\s+/).filter((name) => name !== ''))

/** @param name as the parser gives it, parts joined by a dot */
export function isKnownFunction(name: string): boolean {
  return known.has(name.startsWith('pg_catalog.') ? name.slice('pg_catalog.'.length) : name)
}
