/* SPDX-License-Identifier: MIT */
/*
 * judge: whether a peer's certificate is one that is trusted, and what went wrong, in an error and a
 * sentence. OpenSSL asks before the peer has proved that the certificate's key is its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls.h"

static void describe(struct lpr_tls_line *line, const X509 *certificate, unsigned char *hash)
{
    unsigned n = 0;
    line->subject[0] = line->fingerprint[0] = 0;
    memset(hash, 0, LPR_TLS_HASH);
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio) {
        (void)X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
        int got = BIO_read(bio, line->subject, LPR_TLS_SUBJECT - 1);
        line->subject[got > 0 ? got : 0] = 0;
        BIO_free(bio);
    }
    if (X509_digest(certificate, EVP_sha256(), hash, &n) != 1)
        return;
    for (unsigned i = 0; i < LPR_TLS_HASH; i++) {
        line->fingerprint[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        line->fingerprint[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    line->fingerprint[2 * LPR_TLS_HASH] = 0;
}

/* Without an authority nobody is trusted but who is among these. */
static bool is_pinned(const libpool_remote_tls *tls, const unsigned char *hash)
{
    for (uint32_t i = 0; i < tls->pins_count; i++)
        if (memcmp(tls->pins[i], hash, LPR_TLS_HASH) == 0)
            return true;
    return tls->pins_count == 0 && tls->authority;
}

bool lpr_tls_is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* A name that is written like an address is nobody's proof of that address. */
static bool is_for_host(X509 *certificate, const char *host)
{
    if (!host)
        return true;
    return lpr_tls_is_address(host) ? X509_check_ip_asc(certificate, host, 0) == 1
                                    : X509_check_host(certificate, host, 0, 0, NULL) == 1;
}

/* Without an authority nobody looks at the dates but we. */
static int check_dates(const X509 *certificate)
{
    int from = X509_cmp_current_time(X509_get0_notBefore(certificate));
    int until = X509_cmp_current_time(X509_get0_notAfter(certificate));
    if (!from || from > 0)
        return X509_V_ERR_CERT_NOT_YET_VALID;
    return !until || until < 0 ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_OK;
}

static int examine(const libpool_remote_tls *tls, struct lpr_tls_line *line, X509_STORE_CTX *store)
{
    unsigned char hash[LPR_TLS_HASH];
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    describe(line, certificate, hash);
    int flaw = check_dates(certificate);
    if (!flaw && tls->authority && X509_verify_cert(store) <= 0) {
        flaw = X509_STORE_CTX_get_error(store);
        return flaw ? flaw : X509_V_ERR_UNSPECIFIED;
    }
    if (!flaw && !line->fingerprint[0])
        flaw = X509_V_ERR_OUT_OF_MEM;
    if (!flaw && !is_pinned(tls, hash))
        flaw = X509_V_ERR_CERT_REJECTED;
    if (!flaw && !is_for_host(certificate, line->host))
        flaw = X509_V_ERR_HOSTNAME_MISMATCH;
    return flaw;
}

static void blame_certificate(struct lpr_tls_line *line, int flaw)
{
    char why[LPR_TLS_TEXT] = "its certificate is refused: ";
    bool dates = flaw == X509_V_ERR_CERT_HAS_EXPIRED || flaw == X509_V_ERR_CERT_NOT_YET_VALID;
    const char *words = X509_verify_cert_error_string(flaw);
    if (flaw == X509_V_ERR_CERT_REJECTED)
        words = "its fingerprint is not among those that are trusted";
    lpr_say(why, sizeof why, words);
    lpr_say(why, sizeof why, ": ");
    lpr_tls_line_blame(line, dates ? -EKEYEXPIRED : -EKEYREJECTED, why, line->subject);
}

int lpr_tls_judge(X509_STORE_CTX *store, void *tls)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct lpr_tls_line *line = SSL_get_app_data(ssl);
    int flaw = examine(tls, line, store);
    X509_STORE_CTX_set_error(store, flaw);
    if (flaw)
        blame_certificate(line, flaw);
    return !flaw;
}

/* ---- what OpenSSL says ----------------------------------------------------------------------- */

static int error_of(int reason)
{
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return -ENOKEY;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return -EPROTONOSUPPORT;
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return -ECONNRESET;
    default: break;
    }
    return reason > SSL_AD_REASON_OFFSET ? -EACCES : -EPROTO;
}

static const char *sentence_of(int error)
{
    switch (error) {
    case -ENOKEY: return "it has shown no certificate: ";
    case -EPROTONOSUPPORT: return "no version of TLS that both speak, 1.2 at least: ";
    case -ECONNRESET: return "it was cut off: ";
    case -EACCES: return "the other end refuses us: ";
    default: return "that is not TLS as it should be: ";
    }
}

void lpr_tls_blame_openssl(struct lpr_tls_line *line, int ssl_error, int saved_errno)
{
    char words[128] = "";
    unsigned long last = ERR_peek_error();
    if (ssl_error == SSL_ERROR_SYSCALL && !last) {
        int error = saved_errno ? saved_errno : ECONNRESET;
        const char *why = strerror_r(error, words, sizeof words);
        lpr_tls_line_blame(line, -error, "the connection failed: ", why);
        return;
    }
    const char *reason = ERR_reason_error_string(last);
    int error = ERR_GET_LIB(last) == ERR_LIB_SSL ? error_of(ERR_GET_REASON(last)) : -EPROTO;
    lpr_tls_line_blame(line, error, sentence_of(error),
                       reason ? reason : "OpenSSL does not say why");
    ERR_clear_error();
}
