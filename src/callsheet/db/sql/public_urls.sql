-- name: record_public_url!
INSERT INTO public_urls (url) VALUES (:url) ON CONFLICT (url) DO UPDATE SET seen_at = clock_timestamp();

-- name: newest_public_url$
-- The public URL that a server has recorded last, within :max_age seconds.
SELECT url FROM public_urls WHERE seen_at > clock_timestamp() - make_interval(secs => :max_age)
ORDER BY seen_at DESC LIMIT 1;

-- name: delete_old_public_urls!
DELETE FROM public_urls WHERE seen_at < statement_timestamp() - interval '1 day';
