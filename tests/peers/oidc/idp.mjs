// The certified oidc-provider, as somebody's company would run one: `node idp.mjs '{"clients": [...]}'`.
// It takes the port it is told, else a free one, of the loopback and prints its issuer as one line. Whoever types a name on its page is that person.
import http from 'node:http';
import Provider from 'oidc-provider';

const { clients, people = {}, port = 0 } = JSON.parse(process.argv[2]);

function claimsOf(name) {
  const usual = {
    email: `${name}@example.com`,
    email_verified: true,
    name,
    preferred_username: name,
    groups: ['admins', 'dev'],
  };
  return { sub: name, ...usual, ...people[name] };
}

const server = http.createServer();
server.listen(port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients,
    pkce: { required: () => true },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'groups'],
    },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    enabledJWA: { idTokenSigningAlgValues: ['RS256'] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, name) => ({ accountId: name, claims: () => claimsOf(name) }),
    cookies: { keys: ['only for tests'] },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
