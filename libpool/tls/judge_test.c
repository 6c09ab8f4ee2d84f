/* SPDX-License-Identifier: MIT */
/* Who is refused, and that both ends are told why, while a session of somebody else goes on. */
#include "tls.h"
#include "tls_rig.h"

#include <strings.h>

/* As it is by itself: the handshake as OpenSSL does it, up to that version of TLS. 1: it went well. */
static int shake_hands(const struct tls_rig *rig, const struct person *person, int version)
{
    int fd = tls_rig_dial(rig), done;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    SSL_CTX_use_certificate(context, person->x509);
    SSL_CTX_use_PrivateKey(context, person->secret);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    done = SSL_connect(ssl);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    return done;
}

/* What somebody is told who opens a session as `tls`, to whom the host has to be this one. */
static int knock(struct tls_rig *rig, libpool_remote_tls *tls, const char *host, const char *words)
{
    char text[256];
    libpool_remote *remote = NULL;
    CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
    int error = libpool_remote_tls_connect(tls, &remote, tls_rig_dial(rig), host, NULL, text,
                                           sizeof text);
    CU_ASSERT_TRUE(error < 0 ? remote == NULL : text[0] == 0);
    if (error < 0 && !strstr(text, words)) {
        fprintf(stderr, "told: %d, %s\n", error, text);
        error = -EBADMSG;
    }
    libpool_remote_close(remote);
    return error;
}

/* One whose certificate is refused by the server. */
static void refuse(struct person *person, bool as_client, int error, const char *words)
{
    struct tls_rig rig;
    tls_rig_start(&rig);
    libpool_remote *remote = tls_rig_session(&rig);
    libpool_remote_tls *tls = tls_rig_be(&rig, as_client ? person : NULL);
    CU_ASSERT_EQUAL(knock(&rig, tls, NULL, "the other end refuses us"), -EACCES);
    CU_ASSERT_TRUE(is_reported(&rig, 1, error, words));
    CU_ASSERT_TRUE(is_served(remote));
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, who_shows_no_certificate_is_refused)
{
    refuse(NULL, false, -ENOKEY, "no certificate");
}

TEST(remote_tls, another_authoritys_certificate_is_refused)
{
    struct person authority, stranger;
    person_make(&authority, "authority", NULL); /* of the same name */
    person_make(&stranger, "stranger", &authority);
    refuse(&stranger, true, -EKEYREJECTED, "CN=stranger");
    person_free(&stranger);
    person_make(&stranger, "himself", NULL);
    refuse(&stranger, true, -EKEYREJECTED, "self-signed");
    person_free(&stranger);
    person_free(&authority);
}

/* The authority of the test's server has to have signed these. */
static void refuse_by_date(long from, long until, const char *words)
{
    struct tls_rig rig;
    struct person person;
    tls_rig_start(&rig);
    person_make_at(&person, "late", NULL, &rig.authority, from, until);
    libpool_remote *remote = tls_rig_session(&rig);
    libpool_remote_tls *tls = tls_rig_be(&rig, &person);
    CU_ASSERT_EQUAL(knock(&rig, tls, NULL, "the other end refuses us"), -EACCES);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EKEYEXPIRED, words));
    CU_ASSERT_TRUE(is_served(remote));
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    libpool_remote_close(remote);
    person_free(&person);
    tls_rig_stop(&rig);
}

TEST(remote_tls, a_certificate_of_another_time_is_refused)
{
    refuse_by_date(-2 * DAY, -DAY, "expired");
    refuse_by_date(DAY, 2 * DAY, "not yet valid");
}

TEST(remote_tls, old_versions_are_refused)
{
    struct tls_rig rig;
    tls_rig_start(&rig);
    libpool_remote *remote = tls_rig_session(&rig);
    CU_ASSERT_NOT_EQUAL(shake_hands(&rig, &rig.client, TLS1_1_VERSION), 1);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EPROTONOSUPPORT, "1.2 at least"));
    CU_ASSERT_EQUAL(shake_hands(&rig, &rig.client, TLS1_2_VERSION), 1);
    CU_ASSERT_TRUE(is_reported(&rig, 2, -ECONNRESET, "cut off"));
    CU_ASSERT_TRUE(is_asked_about(&rig, "CN=client", 0x0303));
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, noise_on_the_port_is_refused)
{
    struct tls_rig rig;
    unsigned random = 7;
    unsigned char noise[2000];
    tls_rig_start(&rig);
    libpool_remote *remote = tls_rig_session(&rig);
    for (int i = 1; i <= 50; i++) {
        for (size_t at = 0; at < sizeof noise; at++)
            noise[at] = (unsigned char)((random = random * 1103515245 + 12345) >> 16);
        if (i % 2) /* as far as the head of a record it is right */
            memcpy(noise, "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", 11);
        int fd = tls_rig_dial(&rig);
        CU_ASSERT_TRUE(send(fd, noise, sizeof noise, MSG_NOSIGNAL) > 0);
        CU_ASSERT_TRUE(RIG_AWAIT(tls_rig_reports(&rig) == i));
        close(fd);
    }
    CU_ASSERT_TRUE(is_reported(&rig, 50, -EPROTO, "not TLS as it should be"));
    CU_ASSERT_TRUE(is_served(remote));
    libpool_remote_close(remote);
    tls_rig_stop(&rig);
}

TEST(remote_tls, who_is_known_by_his_fingerprint_needs_no_authority)
{
    struct tls_rig rig;
    struct person known, unknown;
    tls_rig_prepare(&rig);
    person_make(&known, "known", NULL);
    person_make(&unknown, "unknown", NULL);
    const char *fingerprints[] = {rig.client.fingerprint, known.fingerprint};
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.authority = NULL;
    options.fingerprints = fingerprints;
    options.fingerprints_count = 2;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote *remote = tls_rig_session(&rig);
    libpool_remote_tls *good = tls_rig_be(&rig, &known), *bad = tls_rig_be(&rig, &unknown);
    CU_ASSERT_EQUAL(knock(&rig, good, NULL, ""), 0);
    CU_ASSERT_TRUE(is_asked_about(&rig, "CN=known", 0x0304));
    CU_ASSERT_EQUAL(strlen(rig.fingerprint), 64);
    CU_ASSERT_EQUAL(strncasecmp(rig.fingerprint, known.fingerprint, 2), 0);
    CU_ASSERT_EQUAL(knock(&rig, bad, NULL, "the other end refuses us"), -EACCES);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EKEYREJECTED, "fingerprint is not among"));
    CU_ASSERT_TRUE(is_served(remote));
    CU_ASSERT_EQUAL(libpool_remote_tls_close(good, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_close(bad, RIG_MS), 0);
    libpool_remote_close(remote);
    person_free(&known);
    person_free(&unknown);
    tls_rig_stop(&rig);
}

/* Who is known may be out of date all the same; there is no authority who would look. */
TEST(remote_tls, a_known_fingerprint_does_not_last_for_ever)
{
    struct tls_rig rig;
    struct person late;
    tls_rig_prepare(&rig);
    person_make_at(&late, "late", NULL, NULL, -2 * DAY, -DAY);
    const char *fingerprint = late.fingerprint;
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.authority = NULL;
    options.fingerprints = &fingerprint;
    options.fingerprints_count = 1;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote_tls *tls = tls_rig_be(&rig, &late);
    CU_ASSERT_EQUAL(knock(&rig, tls, NULL, "the other end refuses us"), -EACCES);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EKEYEXPIRED, "expired"));
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    person_free(&late);
    tls_rig_stop(&rig);
}

TEST(remote_tls, authority_and_fingerprint_must_both_agree)
{
    struct tls_rig rig;
    struct person other;
    tls_rig_prepare(&rig);
    person_make(&other, "other", &rig.authority);
    const char *fingerprint = rig.client.fingerprint;
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.fingerprints = &fingerprint;
    options.fingerprints_count = 1;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote_tls *tls = tls_rig_be(&rig, &other);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, NULL, ""), 0);
    CU_ASSERT_EQUAL(knock(&rig, tls, NULL, "the other end refuses us"), -EACCES);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EKEYREJECTED, "CN=other"));
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    person_free(&other);
    tls_rig_stop(&rig);
}

TEST(remote_tls, a_client_looks_whose_server_that_is)
{
    struct tls_rig rig;
    struct person authority;
    char text[256];
    tls_rig_start(&rig);
    person_make(&authority, "elsewhere", NULL);
    libpool_remote_tls_options options = {.size = sizeof options,
                                          .certificate = rig.client.certificate,
                                          .key = rig.client.key,
                                          .authority = authority.certificate};
    libpool_remote_tls *tls = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_remote_tls_open(&tls, &options, text, sizeof text), 0);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, "pool.example", ""), 0);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, "127.0.0.1", ""), 0);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, "other.example", "ostname mismatch"), -EKEYREJECTED);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EACCES, "refuses us"));
    CU_ASSERT_EQUAL(knock(&rig, tls, NULL, "its certificate is refused"), -EKEYREJECTED);
    CU_ASSERT_TRUE(is_reported(&rig, 2, -EACCES, "refuses us"));
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    person_free(&authority);
    tls_rig_stop(&rig);
}

TEST(remote_tls, the_application_may_refuse_whom_it_knows)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    rig.verdict = -EPERM;
    tls_rig_serve(&rig, 1, NULL, NULL);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, NULL, "not admitted there"), -EACCES);
    CU_ASSERT_TRUE(is_reported(&rig, 1, -EACCES, "not admitted: CN=client"));
    CU_ASSERT_EQUAL(rig_stats(&rig.rig).sessions_accepted, 0);
    tls_rig_stop(&rig);
}

TEST(remote_tls, anybody_may_come_where_that_is_said)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    libpool_remote_tls_options options = tls_rig_options(&rig);
    options.authority = NULL;
    options.flags = LIBPOOL_REMOTE_TLS_ANYBODY;
    tls_rig_serve(&rig, 1, NULL, &options);
    libpool_remote_tls *tls = tls_rig_be(&rig, NULL);
    CU_ASSERT_EQUAL(knock(&rig, tls, "pool.example", ""), 0);
    CU_ASSERT_STRING_EQUAL(rig.fingerprint, "");
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    tls_rig_stop(&rig);
}

/* A client has to know whom it trusts, whatever it says of its own clients. */
TEST(remote_tls, anybody_is_no_server)
{
    struct tls_rig rig;
    char text[256];
    tls_rig_start(&rig);
    libpool_remote_tls_options options = {.size = sizeof options,
                                          .flags = LIBPOOL_REMOTE_TLS_ANYBODY};
    libpool_remote_tls *tls = NULL;
    CU_ASSERT_EQUAL_FATAL(libpool_remote_tls_open(&tls, &options, text, sizeof text), 0);
    CU_ASSERT_EQUAL(knock(&rig, tls, NULL, "which servers to trust"), -EINVAL);
    CU_ASSERT_EQUAL(knock(&rig, tls, "pool.example", "which servers to trust"), -EINVAL);
    CU_ASSERT_EQUAL(libpool_remote_tls_close(tls, RIG_MS), 0);
    tls_rig_stop(&rig);
}

static int judge_as(struct tls_bench *bench, X509 *certificate)
{
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    CU_ASSERT_EQUAL(X509_STORE_CTX_init(store, NULL, certificate, NULL), 1);
    X509_STORE_CTX_set_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx(), bench->line->ssl);
    int verdict = lpr_tls_judge(store, &bench->tls);
    X509_STORE_CTX_free(store);
    return verdict;
}

TEST(remote_tls, with_nothing_to_judge_by_nobody_is_trusted)
{
    struct tls_bench bench;
    struct person person;
    unsigned char pin[1][LPR_TLS_HASH];
    unsigned n = 0;
    tls_bench_start(&bench);
    person_make(&person, "person", NULL);
    CU_ASSERT_EQUAL(judge_as(&bench, person.x509), 0);
    CU_ASSERT_EQUAL(bench.line->error, -EKEYREJECTED);
    CU_ASSERT_EQUAL(X509_digest(person.x509, EVP_sha256(), pin[0], &n), 1);
    bench.tls.pins = pin;
    bench.tls.pins_count = 1;
    CU_ASSERT_EQUAL(judge_as(&bench, person.x509), 1);
    bench.tls.pins = NULL;
    tls_bench_stop(&bench);
    person_free(&person);
}

/* What stands in a certificate as a name may look like an address, and is none all the same. */
TEST(remote_tls, an_address_is_no_name)
{
    struct tls_rig rig;
    tls_rig_prepare(&rig);
    person_free(&rig.server);
    person_make_at(&rig.server, "127.0.0.1", NULL, &rig.authority, -DAY, DAY);
    tls_rig_serve(&rig, 1, NULL, NULL);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, "127.0.0.1", "mismatch"), -EKEYREJECTED);
    CU_ASSERT_EQUAL(knock(&rig, rig.own, NULL, ""), 0);
    tls_rig_stop(&rig);
}
