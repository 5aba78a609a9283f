-- Tables of the ads loop: touches, deals, credits, stages, daily metrics, arms of the sampler. No data is lost, and
-- workers of the previous version keep working: they do not know these tables.

-- Ads. A tenant is a client of the product, an ad is the product's id of it. Amounts are decimal, in the currency of the
-- tenant. Locks: writes of jobs hold advisory locks on what they change, in the order of their keys (lock_state), after
-- the lock of the execution.

-- Contacts of a deal, or of a person, with an ad.
CREATE TABLE ad_touches (
    tenant       text NOT NULL,
    subject_kind text NOT NULL CHECK (subject_kind IN ('deal', 'contact')),
    subject      text NOT NULL,              -- id of the deal or of the contact
    touched_at   timestamptz NOT NULL,
    ad           text NOT NULL,
    kind         text NOT NULL,              -- click, view, form…
    PRIMARY KEY (tenant, subject_kind, subject, touched_at, ad, kind)
);

-- The newest known state of each deal.
CREATE TABLE ad_deals (
    tenant       text NOT NULL,
    deal         text NOT NULL,
    stage        text,
    stage_at     timestamptz,                -- time of the newest change of the stage
    value        numeric(20, 2),
    value_at     timestamptz,                -- time of the newest change of the value
    contacts     text[] NOT NULL DEFAULT '{}',
    version      integer NOT NULL,           -- number of changes; a change names the version that it was computed from
    execution_id uuid NOT NULL,              -- execution of the newest change; it may be deleted since
    PRIMARY KEY (tenant, deal)
);

-- Credit of deals to ads. Rows are only added: a change of the credit adds rows that reverse the earlier ones.
CREATE TABLE ad_credits (
    tenant      text NOT NULL,
    deal        text NOT NULL,
    version     integer NOT NULL,            -- version of the deal that added the row
    kind        text NOT NULL CHECK (kind IN ('credit', 'reversal')),
    stage       text NOT NULL,               -- stage whose credit is given, or reversed
    model       text NOT NULL,               -- attribution model
    ad          text NOT NULL,
    served_on   date NOT NULL,               -- day of the touch, in UTC
    amount      numeric(20, 2) NOT NULL,     -- negative in a reversal
    conversions double precision NOT NULL,   -- part of one deal; negative in a reversal
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, deal, version, kind, model, ad, served_on)
);
CREATE INDEX ad_credits_by_ad ON ad_credits (tenant, ad, model) INCLUDE (served_on, amount, conversions);

-- The probability that a deal in a stage is won. A tenant without rows has the defaults of the program.
CREATE TABLE ad_stages (
    tenant      text NOT NULL,
    stage       text NOT NULL,
    probability numeric(5, 4) NOT NULL CHECK (probability BETWEEN 0 AND 1),
    PRIMARY KEY (tenant, stage)
);

-- Daily figures of ads, as their platform reports them. The newest report of a day counts.
CREATE TABLE ad_metrics (
    tenant      text NOT NULL,
    ad          text NOT NULL,
    day         date NOT NULL,
    impressions bigint NOT NULL,
    clicks      bigint NOT NULL,
    spend       numeric(20, 2) NOT NULL,
    reach       bigint,                      -- different people; impressions / reach is the frequency
    engagements bigint,
    conversions double precision NOT NULL,
    revenue     numeric(20, 2) NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, ad, day)
);

-- What the sampler knows of each ad: sums that lose half of their weight in each half-life.
CREATE TABLE ad_arms (
    tenant               text NOT NULL,
    ad                   text NOT NULL,
    as_of                date NOT NULL,      -- the sums are discounted to the start of this day, in UTC
    trials               double precision NOT NULL, -- impressions
    immature             double precision NOT NULL, -- the part of `trials` whose rewards are still to come
    spend                double precision NOT NULL,
    reported_conversions double precision NOT NULL,
    reported_revenue     double precision NOT NULL,
    deal_conversions     double precision NOT NULL,
    deal_revenue         double precision NOT NULL,
    share                double precision,   -- share of the budget that was adopted last
    PRIMARY KEY (tenant, ad)
);
