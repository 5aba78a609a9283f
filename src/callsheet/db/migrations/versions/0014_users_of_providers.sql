-- Users who sign in by an OpenID Connect provider, instead of with a password.
-- No data is lost. Servers and workers of the previous version keep working; they know these users only by their sessions.
ALTER TABLE users
    ADD COLUMN issuer text,  -- of the OpenID Connect provider by which they sign in; null: by password
    ADD COLUMN subject text, -- the id of the person there
    ADD CHECK ((issuer IS NULL) = (subject IS NULL)),
    ADD UNIQUE (issuer, subject);
