"""Who a user is: tokens of an OpenID Connect server, and the roles in them."""
