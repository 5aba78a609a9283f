"""Verification of provider webhooks: signatures, JWKS."""
