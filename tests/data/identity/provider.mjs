// An OpenID Connect server in Keycloak's layout, for tests: it prints its issuer once
// it answers, and ends when its standard input does.
//
//     node provider.mjs MODULES
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const find = createRequire(`${process.argv[2]}/`);
const { default: Provider } = await import(pathToFileURL(find.resolve('oidc-provider')));

const REALM = '/realms/neardata';
const PROTOCOL = '/protocol/openid-connect';
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const ROLES = { alice: ['nd-role', 'offline_access'], bob: ['nd-role-viewer'] };

const makeClient = (id, more = {}) => ({
  client_id: id,
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: [DEVICE, 'refresh_token'],
  response_types: [],
  redirect_uris: [],
  ...more,
});

const configuration = {
  clients: [
    makeClient('hpc-connector'),
    makeClient('short-codes'),
    makeClient('short-tokens'),
    makeClient('no-device', { grant_types: ['refresh_token'] }),
  ],
  routes: {
    authorization: `${PROTOCOL}/auth`,
    code_verification: '/device',
    device_authorization: `${PROTOCOL}/auth/device`,
    jwks: `${PROTOCOL}/certs`,
    revocation: `${PROTOCOL}/revoke`,
    token: `${PROTOCOL}/token`,
    userinfo: `${PROTOCOL}/userinfo`,
  },
  features: {
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://keeper.example.org',
      useGrantedResource: () => true,
      getResourceServerInfo: (context, resource, client) => ({
        scope: '',
        audience: 'hpc-connector-keeper',
        accessTokenFormat: 'jwt',
        accessTokenTTL: client.clientId === 'short-tokens' ? 10 : 300,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  ttl: {
    DeviceCode: (context, code, client) => (client.clientId === 'short-codes' ? 1 : 60),
  },
  issueRefreshToken: async () => true,
  rotateRefreshToken: true,
  findAccount: (context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  extraTokenClaims: (context, token) => ({
    preferred_username: token.accountId,
    realm_access: { roles: ROLES[token.accountId] ?? [] },
  }),
  renderError: (context, out) => { context.body = JSON.stringify(out); },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}${REALM}`;
  const provider = new Provider(issuer, configuration);
  provider.use(async (context, next) => {
    await next();
    if (context.oidc?.route === 'device_authorization' && context.body.device_code) {
      context.body.interval = 1; // it says none, which means five seconds
    }
  });
  const answer = provider.callback();
  server.on('request', (request, response) => {
    request.originalUrl = request.url;
    request.url = request.url.replace(REALM, '') || '/';
    answer(request, response);
  });
  console.log(issuer);
});
process.stdin.resume().on('end', () => process.exit(0));
