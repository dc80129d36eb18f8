//! How cameras ask for a user and a password (RFC 7616, RFC 7617).

use crate::camera::Camera;
use crate::row::{Row, whole};

const DIGEST: &str = "WWW-Authenticate: Digest realm=\"IP Camera\", nonce=\"NONCE\"\r\n";
const QOP: &str = "WWW-Authenticate: Digest realm=\"IP Camera\", nonce=\"NONCE\", qop=\"auth\"\r\n";

pub(crate) fn rows() -> Vec<Row> {
    [schemes(), spelling(), passwords()].concat()
}

fn schemes() -> Vec<Row> {
    vec![
        whole("login: Basic", |c| c.challenges("WWW-Authenticate: Basic realm=\"IP Camera\"\r\n")),
        whole("login: Digest", |c| c.challenges(DIGEST)),
        whole("login: Digest with qop", |c| c.challenges(QOP)),
        whole("login: Digest with MD5 named", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=MD5\r\n");
        }),
        whole("login: Digest with SHA-256", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=SHA-256\r\n");
        }),
        whole("login: Digest with SHA-256 and qop", |c| {
            c.challenges(
                "WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=SHA-256, qop=\"auth\"\r\n",
            );
        }),
        whole("login: Digest with qop of two values", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", qop=\"auth,auth-int\"\r\n");
        }),
        whole("login: Basic and Digest, each in a header", |c| {
            c.challenges(
                "WWW-Authenticate: Basic realm=\"x\"\r\n\
                 WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\"\r\n",
            );
        }),
        whole("login: Digest and Basic, each in a header", |c| {
            c.challenges(
                "WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\"\r\n\
                 WWW-Authenticate: Basic realm=\"x\"\r\n",
            );
        }),
        whole("login: Digest and Basic in one header", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", Basic realm=\"x\"\r\n");
        }),
        whole("login: SHA-256 and MD5, each in a header", |c| {
            c.challenges(
                "WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=SHA-256\r\n\
                 WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=MD5\r\n",
            );
        }),
        whole("login: an unknown scheme before Digest", |c| {
            c.challenges(
                "WWW-Authenticate: Negotiate\r\n\
                 WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\"\r\n",
            );
        }),
        whole("login: an unknown algorithm before MD5", |c| {
            c.challenges(
                "WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=SHA3-256\r\n\
                 WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=MD5\r\n",
            );
        }),
        whole("login: a nonce for each request", |c| renews(c, 1)),
        whole("login: a nonce for two requests", |c| renews(c, 2)),
        whole("login: new nonces for keepalives", |c| {
            renews(c, 4);
            c.timeout = 1;
        }),
    ]
}

fn spelling() -> Vec<Row> {
    vec![
        whole("login: digest in lower case", |c| {
            c.challenges("WWW-Authenticate: digest realm=\"x\", nonce=\"NONCE\"\r\n");
        }),
        whole("login: the header in lower case", |c| {
            c.challenges("www-authenticate: Digest realm=\"x\", nonce=\"NONCE\"\r\n");
        }),
        whole("login: no blanks between parameters", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\",nonce=\"NONCE\",stale=FALSE\r\n");
        }),
        whole("login: blanks around =", |c| {
            c.challenges("WWW-Authenticate: Digest realm = \"x\", nonce = \"NONCE\"\r\n");
        }),
        whole("login: two blanks behind Digest", |c| {
            c.challenges("WWW-Authenticate: Digest  realm=\"x\", nonce=\"NONCE\"\r\n");
        }),
        whole("login: a nonce without quotes", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=NONCE\r\n");
        }),
        whole("login: a qop without quotes", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", qop=auth\r\n");
        }),
        whole("login: names in upper case", |c| {
            c.challenges("WWW-Authenticate: Digest Realm=\"x\", Nonce=\"NONCE\"\r\n");
        }),
        whole("login: a comma behind", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\",\r\n");
        }),
        whole("login: an empty realm", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"\", nonce=\"NONCE\"\r\n");
        }),
        whole("login: a realm with a comma", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"a, b=c\", nonce=\"NONCE\"\r\n");
        }),
        whole("login: an opaque value", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", opaque=\"\"\r\n");
        }),
        whole("login: unknown parameters", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", a=b, domain=\"/\"\r\n");
        }),
        whole("login: algorithm in lower case", |c| {
            c.challenges("WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=\"md5\"\r\n");
        }),
        whole("login: Basic without a realm", |c| c.challenges("WWW-Authenticate: Basic\r\n")),
    ]
}

fn passwords() -> Vec<Row> {
    vec![
        whole("password: blanks", |c| knows(c, DIGEST, "viewer", " ge heim ")),
        whole("password: quotes", |c| knows(c, DIGEST, "viewer", "ge\"heim\\")),
        whole("password: characters of URLs", |c| knows(c, QOP, "viewer", "p@ss:w/rd%?#")),
        whole("password: umlauts", |c| knows(c, QOP, "viewer", "geheimnißvöll")),
        whole("password: umlauts with Basic", |c| {
            knows(c, "WWW-Authenticate: Basic realm=\"x\"\r\n", "viewer", "geheimnißvöll");
        }),
        whole("password: colons with Basic", |c| {
            knows(c, "WWW-Authenticate: Basic realm=\"x\"\r\n", "viewer", "a:b:c");
        }),
        whole("password: empty", |c| knows(c, DIGEST, "viewer", "")),
        whole("password: 200 characters", |c| {
            const LONG: &str = "0123456789abcdefghijklmnopqrstuvwxyz-_.!~*'()0123456789abcdefghijklmnopqrstuvwxyz\
                0123456789abcdefghijklmnopqrstuvwxyz-_.!~*'()0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghij";
            knows(c, DIGEST, "viewer", LONG);
        }),
        whole("user: blanks and an @", |c| knows(c, DIGEST, "road side@north", "geheim")),
    ]
}

fn knows(c: &mut Camera, challenges: &'static str, user: &'static str, password: &'static str) {
    c.challenges(challenges);
    c.credentials = (user, password);
}

/// The nonce changes after this number of requests.
fn renews(c: &mut Camera, requests: usize) {
    c.challenges(
        "WWW-Authenticate: Digest realm=\"x\", nonce=\"NONCE\", algorithm=\"MD5\", stale=\"STALE\"\r\n",
    );
    c.login.as_mut().expect("just set").requests_per_nonce = requests;
}
