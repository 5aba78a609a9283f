-- Reason: files of long work, such as the checkpoints of a training, become artifacts before the end of their run, and
-- stay when it fails. No data is lost. Workers of the previous version keep working.

ALTER TABLE artifacts ADD COLUMN from_unfinished_run boolean NOT NULL DEFAULT false;

CREATE OR REPLACE FUNCTION webhook_artifacts(given uuid, only_job uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN count(*) <= 60 THEN coalesce(jsonb_agg(f.artifact ORDER BY f.id), '[]') END
    FROM (SELECT a.id, jsonb_build_object(
              'artifact_id', a.id, 'name', a.name, 'key', a.key, 'media_type', a.media_type, 'size', a.size,
              'sha256', a.sha256, 'probe', a.probe, 'execution_id', a.execution_id, 'job_id', j.job_id,
              'job_record_id', a.job, 'created_at', a.created_at,
              'from_unfinished_run', a.from_unfinished_run) AS artifact
          FROM artifacts a JOIN execution_jobs j ON j.id = a.job
          WHERE a.execution_id = given AND (only_job IS NULL OR a.job = only_job)
          ORDER BY a.id LIMIT 61) f
$$;
