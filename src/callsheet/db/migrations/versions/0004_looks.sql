-- Due looks are found for each provider by itself: the jobs of one that rests stand in nobody's way.
-- Nothing is lost. Workers of the version before survive it, and find due looks more slowly. Writes to jobs wait while
-- the index is built: about a second for a million executions.

DROP INDEX execution_jobs_waiting;
CREATE INDEX execution_jobs_waiting ON execution_jobs (provider, next_poll_at) WHERE status = 'waiting';
