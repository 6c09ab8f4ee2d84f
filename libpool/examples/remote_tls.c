/* SPDX-License-Identifier: MIT */
/*
 * A pool that is served over TLS: this process has it, another one submits to it, and each knows the other by
 * the fingerprint of its certificate. One whose certificate is another is refused. The certificates are made
 * here; in earnest they are files: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes ...
 * Needs OpenSSL 3: cc remote_tls.c $(pkg-config --cflags --libs libpool_remote_tls)
 */
#include <libpool_remote_tls.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct identity {
    char certificate[2048], key[1024], fingerprint[65];
};

static int square(libpool_worker *worker, const void *input, size_t size)
{
    long number;
    if (size != sizeof number)
        return 1;
    memcpy(&number, input, sizeof number);
    number *= number;
    return libpool_reply(worker, &number, sizeof number);
}

/* ---- who is who -------------------------------------------------------------------------------- */

static int write_down(struct identity *identity, X509 *certificate, EVP_PKEY *key)
{
    unsigned char hash[32];
    unsigned n = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    int good = PEM_write_bio_X509(bio, certificate) == 1 &&
               BIO_read(bio, identity->certificate, sizeof identity->certificate - 1) > 0 &&
               PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
               BIO_read(bio, identity->key, sizeof identity->key - 1) > 0 &&
               X509_digest(certificate, EVP_sha256(), hash, &n) == 1;
    for (unsigned i = 0; i < n; i++)
        snprintf(identity->fingerprint + 2 * i, 3, "%02x", hash[i]);
    BIO_free(bio);
    return good;
}

/* Signed by itself, and good for an hour. */
static int make_identity(struct identity *identity, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    memset(identity, 0, sizeof *identity);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    int good = X509_sign(certificate, key, EVP_sha256()) > 0 &&
               write_down(identity, certificate, key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

/* Is `self`, and trusts the one with this fingerprint. */
static libpool_remote_tls *open_tls(const struct identity *self, const char *trusted,
                                    libpool_remote_tls_report *report)
{
    char text[256];
    libpool_remote_tls *tls;
    libpool_remote_tls_options options = {.size = sizeof options,
                                          .certificate = self->certificate,
                                          .key = self->key,
                                          .fingerprints = &trusted,
                                          .fingerprints_count = 1,
                                          .report = report};
    if (libpool_remote_tls_open(&tls, &options, text, sizeof text) == 0)
        return tls;
    fprintf(stderr, "%s\n", text);
    return NULL;
}

/* ---- a client ---------------------------------------------------------------------------------- */

static long ask(libpool_remote *remote, long number)
{
    libpool_remote_future *future;
    libpool_remote_task task = {
        .size = sizeof task, .name = "square", .input = &number, .input_size = sizeof number};
    long answer = -1;
    if (libpool_remote_submit(remote, &task, -1, &future) < 0)
        return -1;
    if (libpool_remote_wait(future, 10000) == 0) {
        const libpool_result *result = libpool_remote_result(future);
        if (result->cause == LIBPOOL_COMPLETED && result->data_size == sizeof answer)
            memcpy(&answer, result->data, sizeof answer);
    }
    libpool_remote_free(future);
    return answer;
}

/* The server has to know `self`: 0. A refusal: 2. */
static int be_client(const struct identity *self, const struct identity *server,
                     const struct sockaddr_in *address)
{
    char text[256];
    libpool_remote *remote;
    libpool_remote_tls *tls = open_tls(self, server->fingerprint, NULL);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!tls || fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return 1;
    int error = libpool_remote_tls_connect(tls, &remote, fd, NULL, NULL, text, sizeof text);
    long answer = error ? 0 : ask(remote, 12);
    if (error)
        printf("a client was told: %s\n", text);
    else
        libpool_remote_close(remote);
    fflush(stdout);
    libpool_remote_tls_close(tls, 1000);
    return error ? 2 : answer != 144;
}

static pid_t start_client(const struct identity *self, const struct identity *server,
                          const struct sockaddr_in *address)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(be_client(self, server, address));
    return pid;
}

/* ---- the server -------------------------------------------------------------------------------- */

static void report(void *arg, const libpool_remote_tls_peer *peer, int error, const char *text)
{
    (void)arg, (void)error;
    printf("the server refused %s: %s\n", peer->subject, text);
}

static int end_of(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int serve(libpool *pool, int listener, const struct identity *self, const char *trusted,
                 const pid_t *clients)
{
    static const libpool_remote_offer offer = {"square",
                                               {.size = sizeof(libpool_task), .function = square}};
    libpool_remote_options options = {.size = sizeof options, .offers = &offer, .offers_count = 1};
    libpool_remote_server *server;
    libpool_remote_tls *tls = open_tls(self, trusted, report);
    if (!tls || libpool_remote_serve(&server, pool, &options) < 0 ||
        libpool_remote_tls_listen(tls, server, listener) < 0)
        return 1;
    int as_expected = end_of(clients[0]) == 0 && end_of(clients[1]) == 2;
    libpool_remote_tls_stop(tls);
    libpool_remote_server_close(server, 0, 1000);
    libpool_remote_tls_close(tls, 1000);
    return as_expected ? 0 : 1;
}

int main(void)
{
    struct identity server, friendly, stranger;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    libpool *pool;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_CALLBACKS, .max_workers = 2};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!make_identity(&server, "server") || !make_identity(&friendly, "friend") ||
        !make_identity(&stranger, "stranger") || listener < 0 ||
        bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 16) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return 1;
    pid_t clients[] = {start_client(&friendly, &server, &address),
                       start_client(&stranger, &server, &address)};
    if (libpool_open(&pool, &options) < 0)
        return 1;
    int code = serve(pool, listener, &server, friendly.fingerprint, clients);
    libpool_close(pool);
    return code;
}
