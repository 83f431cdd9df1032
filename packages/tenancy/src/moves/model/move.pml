/*
 * A tenant's move between two places, as a model that `npm run model` exhausts: every interleaving of two writers, two
 * movers, crashes and replayed tokens. Read it beside the mover; docs/internals/move-model.md says what it proves.
 *
 * Promela in five lines:
 *   proctype     a process; all of them run interleaved, one statement at a time
 *   atomic {…}   one step that nobody sees half of: here always ONE transaction, or ONE statement, in ONE database
 *   x == y -> …  a guard: the process waits until it is true; in `if` and `do`, any branch whose guard is true is taken
 *   inline       a macro with parameters
 *   {…} unless {…}  the second block takes over as soon as its guard is true: kill -9 at any instant
 * What is not in one `atomic` can be torn apart by a crash, or be arbitrarily late.
 *
 * Epoch 1 is at A, 2 at B after the move, 3 at A again after a rollback: so an epoch stands for a route and a token.
 */

#define A 0
#define B 1
#define PLACE(epoch) (1 - (epoch) % 2)
#define BIT(number) (1 << (number))

#ifdef SAME_DATABASE /* both places are schemas of one database: one fence row, one tenant lock, one lease */
#define DB(place) 0
#else
#define DB(place) (place)
#endif

#ifndef WRITES
#define WRITES 4
#endif
#ifndef CRASHES
#define CRASHES 2 /* kill -9 of a mover, or the crash of a database */
#endif
#ifndef ZOMBIES
#define ZOMBIES 1 /* takeovers from a mover that is alive */
#endif
#ifndef RESTARTS
#define RESTARTS 1 /* moves begun anew after a cancelled one */
#endif

mtype:fence = { Absent, Pending, Active, Moved }; /* capitals: `active` is a word of Promela */
mtype:state = { prepared, copying, streaming, switched, opening, settled, closed, cancelling, cancelled, returning,
  taken_back, returned };

/* Per database: the tenant's row in quickscale.placement, its advisory lock, the newest lease that was seen there. */
typedef Fence {
  mtype:fence state;
  byte epoch;
  byte lease;     /* fencing number: a transaction of a mover with an older one fails */
  byte shared;    /* bit per writer that holds the tenant lock shared */
  byte exclusive; /* the mover that holds it */
};

/* Per place: the tenant's rows, and what a slot on them would deliver (without what a mover has applied). */
typedef Place {
  byte rows;         /* bit per numbered write */
  byte log[WRITES];  /* commits of writers, in commit order; a position in it is an LSN */
  byte length;
  byte applied;      /* how much of the other place's log is in `rows`: changed in the same transaction */
};

Fence fence[2];
Place place[2];
mtype:state state = prepared; /* of the move, persisted in A beside the lease */
byte catalog = 1;             /* the pointer: a cache */

/* What happens from outside, bounded. */
byte crashes = CRASHES, zombies = ZOMBIES, restarts = RESTARTS;
chan kill[3] = [0] of { bit }; /* kill -9, by mover */
byte holder;     /* the mover that took the lease last, unless it is known to be dead */

/* What only the checker knows. */
byte written = 1;    /* how many commits have returned, so that rows 0, 1, … are acknowledged; row 0 is older than the move */
byte newest = 1;     /* the epoch of the last switch */
bool staleWrite, doubledWrite;

#define OVER (state == closed || state == returned || (state == cancelled && restarts == 0))

/* ------------------------------------------------------------------------------------------------------ writers */

#define ADMITS_PLACE(token) (fence[DB(PLACE(token))].state == Active && fence[DB(PLACE(token))].exclusive == 0)
#ifdef MUTANT_NO_EPOCH
#define ADMITS(token) ADMITS_PLACE(token)
#else
#define ADMITS(token) (ADMITS_PLACE(token) && fence[DB(PLACE(token))].epoch == token)
#endif
#define HAS_SHARED (fence[DB(PLACE(token))].shared & BIT(me))

inline release_shared() { fence[DB(PLACE(token))].shared = fence[DB(PLACE(token))].shared & ~BIT(me); token = 0 }

/* Begins a transaction. Lock and check of the fence are one step here: only what the lock keeps out could come between
   them, or what could as well have come before the lock. */
inline enter(wanted) {
  atomic { written < WRITES && wanted <= newest && ADMITS(wanted) ->
    token = wanted; fence[DB(PLACE(token))].shared = fence[DB(PLACE(token))].shared | BIT(me) }
}

/* Inserts a row, numbered in the order of commits, and commits: the lock goes with the commit. */
inline write() {
  if
  :: atomic { HAS_SHARED && written < WRITES ->
       printf("writer %d: commits write %d under epoch %d\n", me, written, token);
       staleWrite = staleWrite || token < newest;
       place[PLACE(token)].rows = place[PLACE(token)].rows | BIT(written);
       place[PLACE(token)].log[place[PLACE(token)].length] = written;
       place[PLACE(token)].length++;
       written++;
       release_shared() }
#ifdef ROUTES /* where it is asked whether everybody gets through, nobody turns back for ever */
  :: atomic { HAS_SHARED && written == WRITES -> release_shared() }
#else
  :: atomic { HAS_SHARED -> release_shared() } /* rolled back: or the writer has died, and another one comes */
#endif
  :: atomic { !HAS_SHARED -> token = 0 }       /* the connection is gone, and the write with it */
  fi
}

/*
 * Without ROUTES a writer tries every token at every instant: that is every stale route and every replay at once. With
 * ROUTES it is a client: refused, it follows a fence that names where to, or else asks the catalog, and tries again.
 */
proctype Writer(byte me) {
  byte token;
#ifdef ROUTES
  byte known = 1;

  do
  :: written == WRITES -> break
  :: enter(known); write()
  :: atomic { written < WRITES && fence[DB(PLACE(known))].exclusive == 0 && !ADMITS(known) ->
       if
       :: fence[DB(PLACE(known))].state == Moved -> known = fence[DB(PLACE(known))].epoch
       :: else -> known = catalog
       fi }
  od
#else
  do
  :: written == WRITES -> break
  :: if
     :: enter(1)
     :: enter(2)
     :: enter(3)
     fi;
     write()
  od
#endif
}

/* ------------------------------------------------------------------------------------------------------- movers */

#ifdef MUTANT_NO_SOURCE_LEASE
#define LEASED_AT_A true
#else
#define LEASED_AT_A (lease == fence[A].lease)
#endif
#ifdef MUTANT_NO_TARGET_LEASE
#define LEASED_AT(p) (p == A || lease != 0)
#elif defined(MUTANT_NO_SOURCE_LEASE)
#define LEASED_AT(p) (p == A || lease == fence[B].lease)
#else
#define LEASED_AT(p) (lease != 0 && lease == fence[DB(p)].lease)
#endif

inline release_exclusive() {
  if
  :: fence[A].exclusive == me -> fence[A].exclusive = 0
  :: fence[B].exclusive == me -> fence[B].exclusive = 0
  :: else -> skip
  fi
}

/* Each transaction of a mover begins with its lease; without it, it does nothing, and the mover forgets all it knew. */
inline forget() { lease = 0; snapshot = 0; position = 0; copyable = false }

inline lose_lease() {
  printf("mover %d: has lost its lease\n", me);
  release_exclusive(); forget();
  goto work
}

/* The lease is taken in A, where the state is, and then made known in the other database, before anything is read or
   done there: a step of the predecessor that is still under way there comes before that, or fails. */
#define MAY_TAKE_OVER (!OVER && lease == 0 && \
  ((holder == 0 && (me == 1 || fence[A].lease > 0)) || (holder != 0 && holder != me && zombies > 0)))

inline take_over() {
  atomic {
    MAY_TAKE_OVER ->
    if
    :: holder != 0 -> zombies--
    :: else -> skip
    fi;
    fence[A].lease++; lease = fence[A].lease; holder = me;
    printf("mover %d: takes lease %d\n", me, lease);
    if
    :: state == cancelled -> restarts--; state = prepared
    :: else -> skip
    fi
  };
#ifndef SAME_DATABASE
  atomic {
    if
    :: fence[B].lease < lease -> fence[B].lease = lease
    :: else -> lose_lease()
    fi
  }
#endif
}

inline step(before, after) {
  atomic {
    if
    :: LEASED_AT_A && state == before -> state = after; printf("mover %d: state %e\n", me, state)
    :: LEASED_AT_A && state != before -> goto work
    :: else -> lose_lease()
    fi
  }
}

/* Drops what an earlier attempt left; the fence keeps writers out of the target. */
inline prepare_target() {
  atomic {
    if
    :: LEASED_AT(B) ->
       printf("mover %d: prepares the target\n", me);
       place[B].rows = 0; place[B].applied = 0;
#ifndef SAME_DATABASE
       fence[B].state = Pending; fence[B].epoch = 2
#endif
    :: else -> lose_lease()
    fi
  }
}

/* The slot and the snapshot that it exports are one instant; that the state follows in the same is no loss, for between
   the two nobody else sees the slot: a mover names it after its lease, so that a late predecessor drops its own only. */
inline make_slot() {
  atomic {
    if
    :: LEASED_AT_A && state == prepared ->
       state = copying; snapshot = place[A].rows; position = place[A].length; copyable = true
    :: LEASED_AT_A && state != prepared -> goto work
    :: else -> lose_lease()
    fi
  }
}

inline copy_snapshot() {
  atomic {
    if
    :: LEASED_AT(B) ->
       printf("mover %d: copies up to position %d\n", me, position);
       doubledWrite = doubledWrite || (place[B].rows & snapshot);
       place[B].rows = place[B].rows | snapshot; place[B].applied = position;
       snapshot = 0; position = 0; copyable = false
    :: else -> lose_lease()
    fi
  }
}

/* One commit of the source, applied. A log does not change where it is written, so reading it beforehand is the same. */
inline apply_next(source, target) {
  atomic {
    if
    :: LEASED_AT(target) && place[target].applied < place[source].length ->
       printf("mover %d: applies write %d\n", me, place[source].log[place[target].applied]);
       doubledWrite = doubledWrite || (place[target].rows & BIT(place[source].log[place[target].applied]));
       place[target].rows = place[target].rows | BIT(place[source].log[place[target].applied])
#ifdef MUTANT_POSITION_APART
    :: else -> lose_lease()
    fi
  };
  atomic {
    if
    :: LEASED_AT(target) -> place[target].applied++
#else
       ; place[target].applied++
#endif
    :: else -> lose_lease()
    fi
  }
}

#ifdef MUTANT_NO_LOCK
#define HAS_EXCLUSIVE(p) true
#else
#define HAS_EXCLUSIVE(p) (fence[DB(p)].exclusive == me)
#endif

/* ONE transaction in the source: the tenant lock, which waits for the writers inside and keeps new ones out; then the
   barrier; then the flip, whose commit gives the lock back. Before the commit, a crash undoes all of it. */
inline cut_over(source, target, next) {
#ifdef MUTANT_ACTIVATE_FIRST
  activate(target, next);
#endif
#ifndef MUTANT_NO_LOCK
  atomic { fence[DB(source)].shared == 0 && fence[DB(source)].exclusive == 0 -> fence[DB(source)].exclusive = me };
#endif
#ifndef MUTANT_NO_BARRIER
  do
  :: lease != 0 && HAS_EXCLUSIVE(source) && place[target].applied < place[source].length -> apply_next(source, target)
  :: else -> break
  od;
#endif
  atomic {
    if
    :: LEASED_AT(source) && HAS_EXCLUSIVE(source) && (source == B || (LEASED_AT_A && state == streaming)) ->
       printf("mover %d: switches to epoch %d\n", me, next);
       fence[DB(source)].epoch = next; newest = next;
#ifndef SAME_DATABASE
       fence[DB(source)].state = Moved;
#endif
       if
       :: source == A -> state = switched
       :: else -> skip
       fi
    :: else -> skip /* the connection is gone, or the lease: all is as before, the state says what is next */
    fi;
    release_exclusive()
  }
}

/* Not under the lease: whoever gets here knows that the source has switched to this epoch, and that this is not taken back any
   more: `opening` is written before. */
inline activate(target, next) {
#ifndef SAME_DATABASE
  atomic {
    if
#ifdef MUTANT_UNGUARDED_ACTIVATION
    :: fence[target].state != Absent ->
#else
    :: (fence[target].state == Pending && fence[target].epoch == next) ||
       (fence[target].state == Moved && fence[target].epoch == next - 1) ->
#endif
       printf("mover %d: activates epoch %d\n", me, next);
       fence[target].state = Active; fence[target].epoch = next
    :: else -> skip
    fi
  }
#else
  skip
#endif
}

/* The target is gone for good, and nobody has begun to open it: the switch is undone, under an epoch that nobody knows. */
inline take_back() {
  atomic {
    if
    :: LEASED_AT_A && state == switched ->
       printf("mover %d: takes the switch back\n", me);
       fence[A].state = Active; fence[A].epoch = 3; newest = 3;
       state = taken_back
    :: LEASED_AT_A && state != switched -> goto work
    :: else -> lose_lease()
    fi
  }
}

inline point_catalog(next) {
  atomic {
    if
#ifdef MUTANT_UNGUARDED_CATALOG
    :: true -> catalog = next
#else
    :: catalog < next -> catalog = next
    :: else -> skip
#endif
    fi
  }
}

inline remove_target() {
  atomic {
    if
    :: LEASED_AT(B) ->
       printf("mover %d: removes the target\n", me);
       place[B].rows = 0; place[B].applied = 0;
#ifndef SAME_DATABASE
       fence[B].state = Absent; fence[B].epoch = 0
#endif
    :: else -> lose_lease()
    fi
  }
}

/* One loop for a first run, a resumed one and a takeover: read the state, do what it asks for, persist the next. */
proctype Mover(byte me) {
  byte lease, snapshot, position;
  bool copyable;

again:
  {
work:
    do
    :: OVER && lease == 0 -> break
    :: take_over()
    :: lease != 0 ->
       if
       :: state == prepared -> prepare_target(); make_slot()
       :: state == prepared -> step(prepared, cancelling)
       :: state == copying -> step(copying, cancelling)
       :: state == streaming -> step(streaming, cancelling)
       :: state == copying && copyable -> copy_snapshot(); step(copying, streaming)
       :: state == copying && !copyable -> step(copying, prepared) /* the snapshot died with its mover */
       :: state == streaming && place[B].applied < place[A].length -> apply_next(A, B)
       :: state == streaming -> cut_over(A, B, 2)
#ifdef MUTANT_UNANNOUNCED_OPENING
       :: state == switched -> activate(B, 2); point_catalog(2); step(switched, settled)
#else
       :: state == switched -> step(switched, opening)
       :: state == opening -> activate(B, 2); point_catalog(2); step(opening, settled)
#endif
#ifndef SAME_DATABASE
       :: state == switched -> take_back()
       :: state == taken_back -> point_catalog(3); step(taken_back, returned)
#endif
       :: state == settled -> step(settled, closed)
       :: state == settled -> step(settled, returning)
       :: state == returning && newest == 2 && place[A].applied < place[B].length -> apply_next(B, A)
       :: state == returning && fence[DB(B)].epoch == 2 -> cut_over(B, A, 3)
       :: state == returning && fence[DB(B)].epoch == 3 -> activate(A, 3); point_catalog(3); step(returning, returned)
       :: state == cancelling -> remove_target(); step(cancelling, cancelled)
       :: atomic { state == cancelled && restarts > 0 -> forget(); holder = 0 }
       :: atomic { state == cancelled && restarts > 0 -> restarts = 0 }
       :: OVER -> forget()
       fi
    od
  } unless {
    atomic { kill[me]?_ -> printf("mover %d: killed\n", me); release_exclusive(); forget();
      if
      :: holder == me -> holder = 0
      :: else -> skip
      fi }
    goto again
  }
}

proctype Chaos() {
end_of_calm:
  if
  :: kill[1]!1
  :: kill[2]!1
  :: atomic { true -> printf("database A crashes\n"); fence[A].shared = 0; fence[A].exclusive = 0 }
  :: atomic { true -> printf("database B crashes\n"); fence[B].shared = 0; fence[B].exclusive = 0 }
  fi;
  atomic {
    crashes--;
    if
    :: crashes > 0 -> goto end_of_calm
    :: else -> skip
    fi
  }
}

/* ------------------------------------------------------------------------------------------------------- claims */

#ifdef SAME_DATABASE
#define IS_ACTIVE(p) (fence[0].state == Active && PLACE(fence[0].epoch) == p)
#define IS_CLEAN true
#else
#define IS_ACTIVE(p) (fence[p].state == Active)
#define IS_CLEAN (fence[B].state == Absent)
#endif

#define TWO_ACTIVE (IS_ACTIVE(A) && IS_ACTIVE(B))
#define LOST(p) (IS_ACTIVE(p) && ((BIT(written) - 1) & ~place[p].rows) != 0)
#define UNFINISHED \
  ((state == closed && !(IS_ACTIVE(B) && catalog == 2)) || (state == returned && !(IS_ACTIVE(A) && catalog == 3)))
#define LEFTOVER (state == cancelled && !(IS_ACTIVE(A) && catalog == 1 && place[B].rows == 0 && IS_CLEAN))

/* A monitor adds no states: in each state of the system it is one that could take the step, if the claim is broken. */
active proctype Monitor() {
end:
  if
  :: atomic { TWO_ACTIVE -> printf("BROKEN one place\n"); assert(false) }
  :: atomic { LOST(A) || LOST(B) -> printf("BROKEN none lost\n"); assert(false) }
  :: atomic { doubledWrite -> printf("BROKEN none doubled\n"); assert(false) }
  :: atomic { staleWrite -> printf("BROKEN no old token\n"); assert(false) }
  :: atomic { UNFINISHED -> printf("BROKEN finished is finished\n"); assert(false) }
  :: atomic { LEFTOVER -> printf("BROKEN cancelled leaves nothing\n"); assert(false) }
  fi
}

init {
  atomic {
    place[A].rows = 1; fence[A].state = Active; fence[A].epoch = 1; fence[B].state = Absent;
    run Writer(1); run Writer(2);
    run Mover(1); run Mover(2);
    if
    :: crashes > 0 -> run Chaos()
    :: else -> skip
    fi
  }
}

/* Under weak fairness (who can always go on does so in the end): after a switch only forward, until the destination is
   active and the catalog knows; and every write gets through, and every move ends. */
ltl forward { [] (((newest == 2) -> <> ((IS_ACTIVE(B) && catalog == 2) || newest == 3)) &&
                  ((newest == 3) -> <> (IS_ACTIVE(A) && catalog == 3))) }
ltl ends { (<> (written == WRITES)) && (<> OVER) }
