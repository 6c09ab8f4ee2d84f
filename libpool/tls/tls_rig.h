/* SPDX-License-Identifier: MIT */
/*
 * tls_rig: for tests: people with certificates, made when they are needed, and a pool that is served to them
 * on a port of the loopback. What the server's end reports is kept.
 */
#ifndef LPR_TLS_RIG_H
#define LPR_TLS_RIG_H

#include <libpool_remote_tls.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "libpool/remote/rig.h"
#include "tls.h"

#define PEM_MAX 4096
#define DAY (24 * 60 * 60L)

/* ---- people ------------------------------------------------------------------------------- */

struct person {
    X509 *x509;
    EVP_PKEY *secret;
    char certificate[PEM_MAX], key[PEM_MAX], fingerprint[100];
};

static inline void person_extend(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CU_ASSERT_PTR_NOT_NULL_FATAL(extension);
    CU_ASSERT_EQUAL(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline void person_write(struct person *person)
{
    unsigned char hash[32];
    unsigned n = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, person->x509);
    CU_ASSERT_TRUE(BIO_read(bio, person->certificate, PEM_MAX - 1) > 0);
    PEM_write_bio_PrivateKey(bio, person->secret, NULL, NULL, 0, NULL, NULL);
    CU_ASSERT_TRUE(BIO_read(bio, person->key, PEM_MAX - 1) > 0);
    BIO_free(bio);
    CU_ASSERT_EQUAL_FATAL(X509_digest(person->x509, EVP_sha256(), hash, &n), 1);
    for (unsigned i = 0; i < n; i++) /* as OpenSSL's own command prints it */
        snprintf(person->fingerprint + 3 * i, 4, i + 1 < n ? "%02X:" : "%02X", hash[i]);
}

/* Signed by another one, or by himself; valid from and until so many seconds from now. host may be NULL. */
static inline void person_make_at(struct person *person, const char *name, const char *host,
                                  const struct person *signer, long from, long until)
{
    static long serial = 1;
    memset(person, 0, sizeof *person);
    person->secret = EVP_EC_gen("P-256");
    person->x509 = X509_new();
    X509 *x509 = person->x509;
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x509), from);
    X509_gmtime_adj(X509_getm_notAfter(x509), until);
    X509_set_pubkey(x509, person->secret);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(signer ? signer->x509 : x509));
    person_extend(x509, NID_basic_constraints, signer ? "CA:FALSE" : "critical,CA:TRUE");
    if (host)
        person_extend(x509, NID_subject_alt_name, host);
    CU_ASSERT_TRUE_FATAL(X509_sign(x509, signer ? signer->secret : person->secret, EVP_sha256()) >
                         0);
    person_write(person);
}

static inline void person_make(struct person *person, const char *name, const struct person *signer)
{
    person_make_at(person, name, signer ? "DNS:pool.example,IP:127.0.0.1" : NULL, signer, -DAY,
                   DAY);
}

static inline void person_free(struct person *person)
{
    X509_free(person->x509);
    EVP_PKEY_free(person->secret);
}

/* ---- a server ----------------------------------------------------------------------------- */

struct tls_rig {
    struct rig rig;
    struct person authority, server, client;
    libpool_remote_tls *tls; /* the server's */
    libpool_remote_tls *own; /* of this process as a client */
    struct sockaddr_in address;
    int listener;
    pthread_mutex_t lock;
    int reports, error; /* how many, and the last */
    char text[512], fingerprint[65], subject[256];
    uint32_t version;
    int verdict; /* of `admit` */
};

static inline int tls_rig_admit(void *arg, const libpool_remote_tls_peer *peer)
{
    struct tls_rig *rig = arg;
    pthread_mutex_lock(&rig->lock);
    snprintf(rig->subject, sizeof rig->subject, "%s", peer->subject);
    snprintf(rig->fingerprint, sizeof rig->fingerprint, "%s", peer->fingerprint);
    rig->version = peer->version;
    int verdict = rig->verdict;
    pthread_mutex_unlock(&rig->lock);
    return verdict;
}

static inline void tls_rig_report(void *arg, const libpool_remote_tls_peer *peer, int error,
                                  const char *text)
{
    struct tls_rig *rig = arg;
    (void)peer;
    pthread_mutex_lock(&rig->lock);
    rig->reports++;
    rig->error = error;
    snprintf(rig->text, sizeof rig->text, "%s", text);
    pthread_mutex_unlock(&rig->lock);
}

static inline int tls_rig_reports(struct tls_rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    int n = rig->reports;
    pthread_mutex_unlock(&rig->lock);
    return n;
}

/* Whom `admit` was last asked about. */
static inline bool is_asked_about(struct tls_rig *rig, const char *subject, uint32_t version)
{
    pthread_mutex_lock(&rig->lock);
    bool right = strcmp(rig->subject, subject) == 0 && rig->version == version;
    pthread_mutex_unlock(&rig->lock);
    return right;
}

/* People and a port, but nobody who serves yet: now is the time to fork. */
static inline void tls_rig_prepare(struct tls_rig *rig)
{
    socklen_t size = sizeof rig->address;
    memset(rig, 0, sizeof *rig);
    pthread_mutex_init(&rig->lock, NULL);
    rig->rig.listener = -1;
    person_make(&rig->authority, "authority", NULL);
    person_make(&rig->server, "server", &rig->authority);
    person_make(&rig->client, "client", &rig->authority);
    rig->address = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    rig->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(rig->listener, (struct sockaddr *)&rig->address, size), 0);
    CU_ASSERT_EQUAL_FATAL(listen(rig->listener, 256), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(rig->listener, (struct sockaddr *)&rig->address, &size), 0);
    CU_ASSERT_TRUE_FATAL(rig_share());
}

static inline libpool_remote_tls_options tls_rig_options(struct tls_rig *rig)
{
    return (libpool_remote_tls_options){.size = sizeof(libpool_remote_tls_options),
                                        .certificate = rig->server.certificate,
                                        .key = rig->server.key,
                                        .authority = rig->authority.certificate,
                                        .admit = tls_rig_admit,
                                        .report = tls_rig_report,
                                        .arg = rig};
}

/* How somebody presents himself as a client; `person` NULL: without a certificate. */
static inline libpool_remote_tls *tls_rig_be(const struct tls_rig *rig, const struct person *person)
{
    libpool_remote_tls *tls = NULL;
    libpool_remote_tls_options options = {.size = sizeof options,
                                          .certificate = person ? person->certificate : NULL,
                                          .key = person ? person->key : NULL,
                                          .authority = rig->authority.certificate};
    return libpool_remote_tls_open(&tls, &options, NULL, 0) == 0 ? tls : NULL;
}

/* Both may be NULL. */
static inline void tls_rig_serve(struct tls_rig *rig, uint32_t workers,
                                 const libpool_remote_options *served,
                                 const libpool_remote_tls_options *given)
{
    libpool_remote_tls_options options = given ? *given : tls_rig_options(rig);
    CU_ASSERT_EQUAL_FATAL(rig_serve(&rig->rig, workers, served), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_tls_open(&rig->tls, &options, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(libpool_remote_tls_listen(rig->tls, rig->rig.server, rig->listener), 0);
    rig->own = tls_rig_be(rig, &rig->client);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rig->own);
}

static inline void tls_rig_start(struct tls_rig *rig)
{
    tls_rig_prepare(rig);
    tls_rig_serve(rig, 1, NULL, NULL);
}

static inline void tls_rig_stop(struct tls_rig *rig)
{
    CU_ASSERT_EQUAL(libpool_remote_tls_close(rig->own, RIG_MS), 0);
    CU_ASSERT_EQUAL(libpool_remote_tls_stop(rig->tls), 0);
    rig_stop(&rig->rig);
    CU_ASSERT_EQUAL(libpool_remote_tls_close(rig->tls, RIG_MS), 0);
    person_free(&rig->authority);
    person_free(&rig->server);
    person_free(&rig->client);
    pthread_mutex_destroy(&rig->lock);
}

/* ---- clients ------------------------------------------------------------------------------ */

static inline int tls_rig_dial(const struct tls_rig *rig)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&rig->address, sizeof rig->address) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline int tls_rig_open(const struct tls_rig *rig, libpool_remote_tls *tls,
                               libpool_remote **remote)
{
    return libpool_remote_tls_connect(tls, remote, tls_rig_dial(rig), "pool.example", NULL, NULL,
                                      0);
}

/* A session that is open, and stays so whatever others do. */
static inline libpool_remote *tls_rig_session(struct tls_rig *rig)
{
    libpool_remote *remote = NULL;
    CU_ASSERT_EQUAL_FATAL(tls_rig_open(rig, rig->own, &remote), 0);
    return remote;
}

static inline bool is_served(libpool_remote *remote)
{
    return rig_end(rig_submit(remote, "count", NULL, 0)) == LIBPOOL_COMPLETED;
}

/* ---- a line without a thread -------------------------------------------------------------- */

/* A client's line whose steps the test takes itself, as if the thread did; peer: what it is connected to. */
struct tls_bench {
    libpool_remote_tls tls;
    struct lpr_tls_line *line;
    int peer;
};

static inline void tls_bench_start(struct tls_bench *bench)
{
    int ends[2];
    libpool_remote_tls_options options = {.size = sizeof options, .handshake_ms = RIG_MS};
    memset(bench, 0, sizeof *bench);
    bench->tls.options = options;
    bench->tls.next_ns = LPR_NEVER;
    bench->tls.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pthread_mutex_init(&bench->tls.lock, NULL);
    pthread_cond_init(&bench->tls.changed, NULL);
    lpr_link_init(&bench->tls.lines);
    lpr_link_init(&bench->tls.dead);
    CU_ASSERT_EQUAL_FATAL(lpr_tls_identity_load(&bench->tls, &options, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    bench->peer = ends[0];
    bench->line = lpr_tls_line_new(&bench->tls, ends[1], false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench->line);
    lpr_tls_line_start(bench->line);
}

/* The handshake is said to be done: there is a session, but nothing that could be read or written. */
static inline void tls_bench_establish(struct tls_bench *bench)
{
    bench->line->state = LPR_TLS_OPEN;
    bench->line->deadline_ns = LPR_NEVER;
}

static inline void tls_bench_stop(struct tls_bench *bench)
{
    int session_fd = bench->line->session_fd;
    lpr_tls_line_drop(bench->line);
    lpr_tls_line_free(bench->line);
    if (session_fd >= 0)
        close(session_fd);
    if (bench->peer >= 0)
        close(bench->peer);
    close(bench->tls.epoll_fd);
    lpr_tls_identity_free(&bench->tls);
    pthread_cond_destroy(&bench->tls.changed);
    pthread_mutex_destroy(&bench->tls.lock);
}

/* What the server's end said of the last one: its n-th report. */
static inline bool is_reported(struct tls_rig *rig, int n, int error, const char *words)
{
    bool told = RIG_AWAIT(tls_rig_reports(rig) >= n);
    pthread_mutex_lock(&rig->lock);
    bool right = told && rig->reports == n && rig->error == error && strstr(rig->text, words);
    if (!right)
        fprintf(stderr, "report %d: %d, %s\n", rig->reports, rig->error, rig->text);
    pthread_mutex_unlock(&rig->lock);
    return right;
}

#endif
