-- name: add_touches
-- Stores touches. One that is stored already is not stored again, and not returned.
INSERT INTO ad_touches (tenant, subject_kind, subject, touched_at, ad, kind)
SELECT DISTINCT :tenant, t.subject_kind, t.subject, t.touched_at, t.ad, t.kind
FROM unnest(:subject_kinds::text[], :subjects::text[], :times::timestamptz[], :ads::text[], :kinds::text[])
    AS t (subject_kind, subject, touched_at, ad, kind)
ORDER BY 2, 3, 4, 5, 6
ON CONFLICT DO NOTHING
RETURNING ad;

-- name: deal_touches
-- The newest touches of a deal and of contacts, up to a time.
SELECT ad, kind, touched_at FROM ad_touches
WHERE tenant = :tenant
  AND ((subject_kind = 'deal' AND subject = :deal)
       OR (subject_kind = 'contact' AND subject = ANY (:contacts::text[])))
  AND touched_at > :since AND touched_at <= :until
ORDER BY touched_at DESC, ad, kind LIMIT :max_touches;

-- name: get_deal^
SELECT stage, stage_at, value, value_at, contacts, version, execution_id
FROM ad_deals WHERE tenant = :tenant AND deal = :deal;

-- name: store_deal$
-- Stores the new state of a deal. No row: the deal was changed since it was read.
WITH added AS (
    INSERT INTO ad_deals (tenant, deal, stage, stage_at, value, value_at, contacts, version, execution_id)
    SELECT :tenant, :deal, :stage, :stage_at, :value::numeric, :value_at, :contacts::text[], 1, :execution_id
    WHERE :version::int = 0
    ON CONFLICT DO NOTHING
    RETURNING version
), changed AS (
    UPDATE ad_deals
    SET stage = :stage, stage_at = :stage_at, value = :value::numeric, value_at = :value_at,
        contacts = :contacts::text[], version = version + 1, execution_id = :execution_id
    WHERE tenant = :tenant AND deal = :deal AND version = :version::int
    RETURNING version
)
SELECT version FROM added UNION ALL SELECT version FROM changed;

-- name: open_credits
-- The credit of a deal that is not reversed.
SELECT stage, model, ad, served_on, sum(amount) AS amount, sum(conversions) AS conversions
FROM ad_credits WHERE tenant = :tenant AND deal = :deal
GROUP BY 1, 2, 3, 4
HAVING sum(amount) <> 0 OR abs(sum(conversions)) > 1e-9
ORDER BY 1, 2, 3, 4;

-- name: add_credits
INSERT INTO ad_credits (tenant, deal, version, kind, stage, model, ad, served_on, amount, conversions)
SELECT :tenant, :deal, :version::int, c.kind, c.stage, c.model, c.ad, c.served_on, c.amount, c.conversions
FROM unnest(:kinds::text[], :stages::text[], :models::text[], :ads::text[], :days::date[], :amounts::numeric[],
            :conversions::float8[]) AS c (kind, stage, model, ad, served_on, amount, conversions)
RETURNING ad;

-- name: credit_rows
-- The rows of the credit of a deal, oldest first.
SELECT version, kind, stage, model, ad, served_on, amount, conversions, at
FROM ad_credits WHERE tenant = :tenant AND deal = :deal
ORDER BY version, kind DESC, model, ad, served_on LIMIT :max_rows;

-- name: credits_by_ad
-- The credit of each ad by one model, over all deals; most first.
SELECT ad, sum(amount) AS amount, sum(conversions) AS conversions, count(DISTINCT deal) AS deals
FROM ad_credits WHERE tenant = :tenant AND model = :model
GROUP BY ad HAVING sum(amount) <> 0 OR abs(sum(conversions)) > 1e-9
ORDER BY amount DESC, ad LIMIT :max_rows;

-- name: get_stages
SELECT stage, probability FROM ad_stages WHERE tenant = :tenant ORDER BY stage;

-- name: replace_stages!
-- Replaces the stages of a tenant.
WITH given AS (
    SELECT * FROM unnest(:stages::text[], :probabilities::numeric[]) AS g (stage, probability)
), removed AS (
    DELETE FROM ad_stages WHERE tenant = :tenant AND stage <> ALL (:stages::text[])
)
INSERT INTO ad_stages (tenant, stage, probability) SELECT :tenant, stage, probability FROM given ORDER BY stage
ON CONFLICT (tenant, stage) DO UPDATE SET probability = excluded.probability;

-- name: store_metrics
-- Stores daily metrics. The newest report of a day replaces the earlier one.
INSERT INTO ad_metrics (tenant, ad, day, impressions, clicks, spend, reach, engagements, conversions, revenue)
SELECT :tenant, m.* FROM unnest(:ads::text[], :days::date[], :impressions::bigint[], :clicks::bigint[],
                                :spends::numeric[], :reaches::bigint[], :engagements::bigint[],
                                :conversions::float8[], :revenues::numeric[])
    AS m (ad, day, impressions, clicks, spend, reach, engagements, conversions, revenue)
ORDER BY m.ad, m.day
ON CONFLICT (tenant, ad, day) DO UPDATE
SET impressions = excluded.impressions, clicks = excluded.clicks, spend = excluded.spend, reach = excluded.reach,
    engagements = excluded.engagements, conversions = excluded.conversions, revenue = excluded.revenue,
    updated_at = clock_timestamp()
RETURNING ad;

-- name: fatigue_days
-- The days of the next ads, in the order of tenant and ad; without a tenant, of all tenants.
WITH ads AS (
    SELECT DISTINCT tenant, ad FROM ad_metrics
    WHERE (:tenant::text IS NULL OR tenant = :tenant::text)
      AND (tenant, ad) > (:after_tenant::text, :after_ad::text)
      AND day > :since::date AND day <= :until::date
    ORDER BY tenant, ad LIMIT :max_ads
)
SELECT m.tenant, m.ad, m.day, m.impressions, m.clicks, m.spend, m.reach, m.engagements
FROM ads JOIN ad_metrics m ON m.tenant = ads.tenant AND m.ad = ads.ad
WHERE m.day > :since::date AND m.day <= :until::date
ORDER BY m.tenant, m.ad, m.day;

-- name: refresh_arms
-- Computes the discounted sums of ads from their metrics and credits. The half-lives are in days. The rewards of an
-- impression come with an exponential delay, so after its half-life one half of them is still to come.
WITH named AS (
    SELECT DISTINCT unnest(:ads::text[]) AS ad
), today AS (
    SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS day
), metrics AS (
    SELECT m.ad,
           sum(m.impressions * power(0.5, (today.day - m.day) / :half_life::float8)) AS trials,
           sum(m.impressions * power(0.5, (today.day - m.day) / :half_life::float8
                                          + (today.day - m.day) / :delay_half_life::float8)) AS immature,
           sum(m.spend::float8 * power(0.5, (today.day - m.day) / :half_life::float8)) AS spend,
           sum(m.conversions * power(0.5, (today.day - m.day) / :half_life::float8)) AS conversions,
           sum(m.revenue::float8 * power(0.5, (today.day - m.day) / :half_life::float8)) AS revenue
    FROM ad_metrics m JOIN named USING (ad) CROSS JOIN today
    WHERE m.tenant = :tenant AND m.day > today.day - :max_age_days::int AND m.day <= today.day
    GROUP BY 1
), credits AS (
    SELECT c.ad,
           sum(c.conversions * power(0.5, greatest(today.day - c.served_on, 0) / :half_life::float8)) AS conversions,
           sum(c.amount::float8 * power(0.5, greatest(today.day - c.served_on, 0) / :half_life::float8)) AS revenue
    FROM ad_credits c JOIN named USING (ad) CROSS JOIN today
    WHERE c.tenant = :tenant AND c.model = :model AND c.served_on > today.day - :max_age_days::int
    GROUP BY 1
)
INSERT INTO ad_arms AS a (tenant, ad, as_of, trials, immature, spend, reported_conversions, reported_revenue,
                          deal_conversions, deal_revenue)
SELECT :tenant, named.ad, today.day, coalesce(metrics.trials, 0), coalesce(metrics.immature, 0),
       coalesce(metrics.spend, 0), coalesce(metrics.conversions, 0), coalesce(metrics.revenue, 0),
       greatest(coalesce(credits.conversions, 0), 0), greatest(coalesce(credits.revenue, 0), 0)
FROM named CROSS JOIN today LEFT JOIN metrics USING (ad) LEFT JOIN credits USING (ad)
ORDER BY named.ad
ON CONFLICT (tenant, ad) DO UPDATE
SET as_of = excluded.as_of, trials = excluded.trials, immature = excluded.immature, spend = excluded.spend,
    reported_conversions = excluded.reported_conversions, reported_revenue = excluded.reported_revenue,
    deal_conversions = excluded.deal_conversions, deal_revenue = excluded.deal_revenue
RETURNING a.ad;

-- name: get_arms
SELECT ad, (clock_timestamp() AT TIME ZONE 'UTC')::date - as_of AS age, trials, immature, spend, reported_conversions,
       reported_revenue, deal_conversions, deal_revenue, share
FROM ad_arms WHERE tenant = :tenant ORDER BY ad LIMIT :max_rows;

-- name: store_shares!
-- Stores the shares of a budget that were adopted.
UPDATE ad_arms a SET share = g.share
FROM (SELECT * FROM unnest(:ads::text[], :shares::float8[]) AS s (ad, share)
      JOIN (SELECT ad FROM ad_arms WHERE tenant = :tenant ORDER BY ad FOR UPDATE) locked USING (ad)) g
WHERE a.tenant = :tenant AND a.ad = g.ad;
