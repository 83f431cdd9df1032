create index item_price on item (price);
create index item_stage on item (stage);
create index item_name on item (name text_pattern_ops);
create index item_body on item using gin (body gin_trgm_ops);
create index item_words on item using gin (words);
create index item_data on item using gin (data);
