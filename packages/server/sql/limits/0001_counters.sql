-- How much of its limits everybody has used, for processes that count together. Not logged: after a crash counting begins anew.
create unlogged table limits.counter (
  key varchar(255) primary key,
  points integer not null default 0,
  expire bigint
);
create index counter_expire on limits.counter (expire);
