"""Whom gateways are to believe beside keys, as cluster.yaml says: the issuer of bearer tokens, and that of logins."""

from cluster.config import ClusterConfig
from cluster.snapshot import LoginIssuer, PeopleRule, TokenIssuer


def token_issuer(config: ClusterConfig) -> TokenIssuer | None:
    """Whose bearer tokens gateways are to take."""
    jwt = config.access.jwt
    return TokenIssuer(jwt.issuer, jwt.audience, jwt.public_key, jwt.roles, jwt.tenant) if jwt is not None else None


def login_issuer(config: ClusterConfig) -> LoginIssuer | None:
    """By whom people may log in at the dashboard."""
    oidc = config.access.oidc
    if oidc is None:
        return None
    return LoginIssuer(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret_file=oidc.client_secret_file,
        address=oidc.address,
        name=oidc.name,
        scopes=oidc.scopes,
        people=tuple(PeopleRule(rule.claim, rule.any_of, rule.role, rule.group) for rule in oidc.people),
        refused=oidc.refused,
        lasts_s=oidc.lasts,
        origins=oidc.origins,
        authorities=oidc.authorities,
        tenant=oidc.tenant,
    )
