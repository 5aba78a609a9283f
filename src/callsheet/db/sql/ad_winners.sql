-- name: get_winner_digests
-- What is stored of ads: the digest of their facts, and the model of their vector.
SELECT ad, digest, model FROM ad_winners
WHERE tenant = :tenant AND ad = ANY (:ads::text[]) AND vector IS NOT NULL;

-- name: outdated_winners
-- Winners whose vector is of another model.
SELECT ad, facts, look, digest FROM ad_winners
WHERE tenant = :tenant AND vector IS NOT NULL AND model <> :model
ORDER BY ad LIMIT :max_rows;

-- name: store_winners
-- Stores winners as the next version of the tenant, whose row is locked until the commit: versions become visible in
-- their order. `vectors` are the vectors one after the other, each of `size` bytes. With `renewed`, only rows that still
-- have the same facts are changed, and none is added.
WITH next AS (
    INSERT INTO ad_winner_versions AS v (tenant, version) VALUES (:tenant, 1)
    ON CONFLICT (tenant) DO UPDATE SET version = v.version + 1
    RETURNING version
)
INSERT INTO ad_winners AS w (tenant, ad, facts, look, digest, model, vector, version)
SELECT :tenant, g.ad, g.facts::jsonb, g.look, g.digest, :model,
       substring(:vectors::bytea FROM ((g.place - 1) * :size::int + 1)::int FOR :size::int), next.version
FROM unnest(:ads::text[], :facts::text[], :looks::text[], :digests::text[])
    WITH ORDINALITY AS g (ad, facts, look, digest, place) CROSS JOIN next
WHERE NOT :renewed::boolean OR EXISTS (SELECT FROM ad_winners o WHERE o.tenant = :tenant AND o.ad = g.ad)
ORDER BY g.ad
ON CONFLICT (tenant, ad) DO UPDATE
SET facts = excluded.facts, look = excluded.look, digest = excluded.digest, model = excluded.model,
    vector = excluded.vector, version = excluded.version, indexed_at = clock_timestamp()
WHERE NOT :renewed::boolean OR w.digest = excluded.digest
RETURNING ad;

-- name: delete_winner
-- Deletes the facts and the vector of a winner, as the next version of its tenant. No row: there is none.
WITH found AS (
    SELECT tenant, ad FROM ad_winners WHERE tenant = :tenant AND ad = :ad AND vector IS NOT NULL
), next AS (
    UPDATE ad_winner_versions v SET version = v.version + 1
    FROM found WHERE v.tenant = found.tenant
    RETURNING v.version
)
UPDATE ad_winners w
SET facts = '{}', look = NULL, digest = '', vector = NULL, version = next.version, indexed_at = clock_timestamp()
FROM next WHERE w.tenant = :tenant AND w.ad = :ad
RETURNING w.ad;

-- name: get_winner^
SELECT number, ad, facts, look, model, vector, indexed_at FROM ad_winners
WHERE tenant = :tenant AND ad = :ad AND vector IS NOT NULL;

-- name: get_winners
-- Winners by their numbers in the index.
SELECT number, ad, facts, look, indexed_at FROM ad_winners
WHERE tenant = :tenant AND number = ANY (:numbers::bigint[]) AND vector IS NOT NULL;

-- name: winner_version^
-- The newest version of a tenant. No row: it has no winner, and never had.
SELECT id, version FROM ad_winner_versions WHERE tenant = :tenant;

-- name: count_winners
-- The number of winners by embedding model.
SELECT model, count(*) AS winners FROM ad_winners WHERE tenant = :tenant AND vector IS NOT NULL GROUP BY model;

-- name: matching_winners
-- The numbers of the winners of a model that meet all conditions. Names, values and bounds belong together by their
-- places. A name with a dot is looked up as it is, and as a path. A list matches by any member.
SELECT number FROM ad_winners w
WHERE tenant = :tenant AND model = :model AND vector IS NOT NULL
  AND coalesce(facts -> 'tags', '[]') @> :tags::jsonb
  AND (:indexed_after::timestamptz IS NULL OR indexed_at >= :indexed_after)
  AND (:indexed_before::timestamptz IS NULL OR indexed_at < :indexed_before)
  AND (cardinality(:attribute_names::text[]) = 0 OR NOT EXISTS (
      SELECT FROM unnest(:attribute_names::text[], :attribute_values::text[]) AS a (name, value)
      CROSS JOIN LATERAL (SELECT coalesce(w.facts -> 'attributes' -> a.name,
                                          w.facts -> 'attributes' #> string_to_array(a.name, '.'))) AS f (found)
      WHERE (CASE jsonb_typeof(f.found)
             WHEN 'array' THEN EXISTS (SELECT FROM jsonb_array_elements_text(f.found) AS m (value)
                                       WHERE m.value = a.value)
             ELSE f.found #>> '{}' = a.value END) IS NOT TRUE))
  AND (cardinality(:metric_names::text[]) = 0 OR NOT EXISTS (
      SELECT FROM unnest(:metric_names::text[], :metric_mins::float8[], :metric_maxs::float8[]) AS m (name, min, max)
      WHERE ((w.facts -> 'metrics' ->> m.name)::float8 BETWEEN m.min AND m.max) IS NOT TRUE))
ORDER BY number;

-- name: winner_changes
-- The next winners that were changed after a version. The vector is null if the winner was deleted, or is of another
-- model.
SELECT number, version, CASE WHEN model = :model THEN vector END AS vector
FROM ad_winners
WHERE tenant = :tenant AND (version, number) > (:after_version::bigint, :after_number::bigint)
ORDER BY version, number LIMIT :max_rows;
