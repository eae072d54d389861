/* The inner loop of data flow: the words of a text, hashed under a key, into a small table that fits into a checkpoint.
 *
 * A word is a run of letters, digits and the punctuation that addresses contain, without punctuation at its ends, of at
 * least three characters. A word that is a link, an address or a host name is known by its host as well. The table is a
 * bytearray: a count of four bytes, then 2^k slots of four bytes, each 0 or the hash of a word, open addressing. The
 * hash is SipHash-1-3 under a key of sixteen bytes: who does not know the key cannot choose words that collide.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define FIRST_SLOTS 16
#define SHORTEST 3

typedef struct {
    uint64_t v0, v1, v2, v3, rest;
    unsigned filled;
    uint64_t length;
} sip;

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(sip *s) {
    s->v0 += s->v1; s->v1 = ROTL(s->v1, 13); s->v1 ^= s->v0; s->v0 = ROTL(s->v0, 32);
    s->v2 += s->v3; s->v3 = ROTL(s->v3, 16); s->v3 ^= s->v2;
    s->v0 += s->v3; s->v3 = ROTL(s->v3, 21); s->v3 ^= s->v0;
    s->v2 += s->v1; s->v1 = ROTL(s->v1, 17); s->v1 ^= s->v2; s->v2 = ROTL(s->v2, 32);
}

static inline void sip_begin(sip *s, const uint64_t key[2]) {
    s->v0 = key[0] ^ 0x736f6d6570736575ULL;
    s->v1 = key[1] ^ 0x646f72616e646f6dULL;
    s->v2 = key[0] ^ 0x6c7967656e657261ULL;
    s->v3 = key[1] ^ 0x7465646279746573ULL;
    s->rest = 0;
    s->filled = 0;
    s->length = 0;
}

static inline void sip_byte(sip *s, uint8_t byte) {
    s->rest |= (uint64_t)byte << (8 * s->filled);
    s->length++;
    if (++s->filled == 8) {
        s->v3 ^= s->rest;
        sip_round(s);
        s->v0 ^= s->rest;
        s->rest = 0;
        s->filled = 0;
    }
}

/* Code points as UTF-8; a lone surrogate as the three bytes it would have. */
static inline void sip_point(sip *s, Py_UCS4 c) {
    if (c < 0x80) {
        sip_byte(s, (uint8_t)c);
    } else if (c < 0x800) {
        sip_byte(s, (uint8_t)(0xC0 | (c >> 6)));
        sip_byte(s, (uint8_t)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        sip_byte(s, (uint8_t)(0xE0 | (c >> 12)));
        sip_byte(s, (uint8_t)(0x80 | ((c >> 6) & 0x3F)));
        sip_byte(s, (uint8_t)(0x80 | (c & 0x3F)));
    } else {
        sip_byte(s, (uint8_t)(0xF0 | (c >> 18)));
        sip_byte(s, (uint8_t)(0x80 | ((c >> 12) & 0x3F)));
        sip_byte(s, (uint8_t)(0x80 | ((c >> 6) & 0x3F)));
        sip_byte(s, (uint8_t)(0x80 | (c & 0x3F)));
    }
}

static inline uint32_t sip_end(sip *s) {
    uint64_t last = s->rest | (s->length << 56);
    s->v3 ^= last;
    sip_round(s);
    s->v0 ^= last;
    s->v2 ^= 0xFF;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    uint32_t hash = (uint32_t)(s->v0 ^ s->v1 ^ s->v2 ^ s->v3);
    return hash ? hash : 1;
}

typedef struct {
    int kind;
    const void *data;
} chars;

static inline Py_UCS4 at(const chars *text, Py_ssize_t i) { return PyUnicode_READ(text->kind, text->data, i); }

static uint32_t hash_of(const chars *text, Py_ssize_t from, Py_ssize_t to, const uint64_t key[2], int host) {
    sip s;
    sip_begin(&s, key);
    if (host) {
        for (const char *p = "host:"; *p; p++) sip_byte(&s, (uint8_t)*p);
    }
    for (Py_ssize_t i = from; i < to; i++) sip_point(&s, at(text, i));
    return sip_end(&s);
}

static inline int stands_in_address(Py_UCS4 c) {
    if (c < 128) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
               (c != 0 && strchr("@._-+/:%#=&?~", (int)c) != NULL);
    }
    return Py_UNICODE_ISALNUM(c);
}

static inline int is_edge(Py_UCS4 c) { return c < 128 && c != 0 && strchr(".-_/:@+'", (int)c) != NULL; }

/* Narrow a word to the host of a link, address or host name; 0 where it has none. */
static int host_in(const chars *text, Py_ssize_t *from, Py_ssize_t *to) {
    Py_ssize_t a = *from, b = *to, i;
    for (i = a; i + 2 < b; i++) {
        if (at(text, i) == ':' && at(text, i + 1) == '/' && at(text, i + 2) == '/') {
            a = i + 3;
            break;
        }
    }
    for (i = a; i < b; i++) {
        Py_UCS4 c = at(text, i);
        if (c == '/' || c == '?') {
            b = i;
            break;
        }
    }
    for (i = b - 1; i >= a; i--) {
        if (at(text, i) == '@') {
            a = i + 1;
            break;
        }
    }
    for (i = a; i < b; i++) {
        if (at(text, i) == ':') {
            b = i;
            break;
        }
    }
    if (b - a >= 4 && at(text, a) == 'w' && at(text, a + 1) == 'w' && at(text, a + 2) == 'w' && at(text, a + 3) == '.') a += 4;
    while (a < b && at(text, a) == '.') a++;
    while (b > a && at(text, b - 1) == '.') b--;
    int dots = 0, other = 0;
    for (i = a; i < b; i++) {
        Py_UCS4 c = at(text, i);
        if (c == '.') dots++;
        else if (!(c < 128 ? (c >= '0' && c <= '9') : Py_UNICODE_ISDIGIT(c))) other++;
    }
    if (!dots) return 0;
    if (!other) { /* digits and dots alone: only an IPv4 address is a host */
        int parts = 1, value = -1, digits = 0;
        for (i = a; i < b; i++) {
            Py_UCS4 c = at(text, i);
            if (c == '.') {
                if (value < 0 || value > 255 || digits > 3) return 0;
                parts++;
                value = -1;
                digits = 0;
            } else {
                if (c >= 128) return 0;
                value = (value < 0 ? 0 : value) * 10 + (int)(c - '0');
                if (++digits > 3) return 0;
            }
        }
        if (parts != 4 || value < 0 || value > 255) return 0;
    }
    *from = a;
    *to = b;
    return 1;
}

static inline uint32_t *slots_of(char *table) { return (uint32_t *)(table + 4); }

static int put(char *table, uint32_t slots, uint32_t hash) {
    uint32_t *slot = slots_of(table), mask = slots - 1, i = hash & mask;
    while (slot[i]) {
        if (slot[i] == hash) return 0;
        i = (i + 1) & mask;
    }
    slot[i] = hash;
    return 1;
}

/* Insert a hash, growing the table up to `most` slots. Returns 1 if it does not fit, -1 with an error set, else 0. */
static int insert(PyObject *array, uint32_t hash, uint32_t most) {
    Py_ssize_t size = PyByteArray_GET_SIZE(array);
    if (size == 0) {
        if (PyByteArray_Resize(array, 4 + 4 * FIRST_SLOTS) < 0) return -1;
        size = 4 + 4 * FIRST_SLOTS;
        memset(PyByteArray_AS_STRING(array), 0, (size_t)size);
    }
    char *table = PyByteArray_AS_STRING(array);
    uint32_t slots = (uint32_t)((size - 4) / 4), count;
    memcpy(&count, table, 4);
    if (count * 8 >= slots * 7) {
        uint32_t i = hash & (slots - 1);
        for (uint32_t n = 0; n < slots && slots_of(table)[i]; n++, i = (i + 1) & (slots - 1)) {
            if (slots_of(table)[i] == hash) return 0;
        }
        if (slots * 2 > most) return 1;
        uint32_t *old = PyMem_Malloc(4 * (size_t)slots);
        if (old == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(old, slots_of(table), 4 * (size_t)slots);
        if (PyByteArray_Resize(array, 4 + 8 * (Py_ssize_t)slots) < 0) {
            PyMem_Free(old);
            return -1;
        }
        table = PyByteArray_AS_STRING(array);
        memset(table + 4, 0, 8 * (size_t)slots);
        for (uint32_t j = 0; j < slots; j++) {
            if (old[j]) put(table, slots * 2, old[j]);
        }
        PyMem_Free(old);
        slots *= 2;
    }
    if (put(table, slots, hash)) {
        count++;
        memcpy(table, &count, 4);
    }
    return 0;
}

static int is_table(Py_ssize_t size) {
    if (size == 0) return 1;
    Py_ssize_t slots = (size - 4) / 4;
    return size >= 4 + 4 * FIRST_SLOTS && (size - 4) % 4 == 0 && (slots & (slots - 1)) == 0;
}

static int key_of(Py_buffer *given, uint64_t key[2]) {
    if (given->len != 16) {
        PyErr_SetString(PyExc_ValueError, "the key must have 16 bytes");
        return -1;
    }
    memcpy(key, given->buf, 16);
    return 0;
}

/* One more than the words found may have been dropped for want of room: returns how many were. */
static PyObject *add_words(PyObject *self, PyObject *args) {
    PyObject *array, *text;
    Py_buffer given;
    unsigned long most, words = ULONG_MAX;
    (void)self;
    if (!PyArg_ParseTuple(args, "YUy*k|k", &array, &text, &given, &most, &words)) return NULL;
    uint64_t key[2];
    int bad = key_of(&given, key);
    PyBuffer_Release(&given);
    if (bad) return NULL;
    if (!is_table(PyByteArray_GET_SIZE(array))) {
        PyErr_SetString(PyExc_ValueError, "not a table of words");
        return NULL;
    }
    chars all = {PyUnicode_KIND(text), PyUnicode_DATA(text)};
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), i = 0;
    long dropped = 0;
    while (i < length) {
        while (i < length && !stands_in_address(at(&all, i))) i++;
        Py_ssize_t from = i;
        while (i < length && stands_in_address(at(&all, i))) i++;
        Py_ssize_t to = i;
        while (from < to && is_edge(at(&all, from))) from++;
        while (to > from && is_edge(at(&all, to - 1))) to--;
        if (to - from < SHORTEST) continue;
        if (!words) {
            dropped++;
            continue;
        }
        words--;
        int full = insert(array, hash_of(&all, from, to, key, 0), (uint32_t)most);
        if (full < 0) return NULL;
        dropped += full;
        if (host_in(&all, &from, &to)) {
            full = insert(array, hash_of(&all, from, to, key, 1), (uint32_t)most);
            if (full < 0) return NULL;
            dropped += full;
        }
    }
    return PyLong_FromLong(dropped);
}

static PyObject *has_word(PyObject *self, PyObject *args) {
    PyObject *word;
    Py_buffer table, given;
    int host = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*Uy*|p", &table, &word, &given, &host)) return NULL;
    uint64_t key[2];
    PyObject *answer = NULL;
    if (key_of(&given, key) < 0) goto done;
    if (!is_table(table.len)) {
        PyErr_SetString(PyExc_ValueError, "not a table of words");
        goto done;
    }
    answer = Py_False;
    if (table.len) {
        chars all = {PyUnicode_KIND(word), PyUnicode_DATA(word)};
        uint32_t hash = hash_of(&all, 0, PyUnicode_GET_LENGTH(word), key, host);
        uint32_t slots = (uint32_t)((table.len - 4) / 4), i = hash & (slots - 1);
        const uint32_t *slot = slots_of(table.buf);
        for (uint32_t n = 0; n < slots && slot[i]; n++, i = (i + 1) & (slots - 1)) {
            if (slot[i] == hash) {
                answer = Py_True;
                break;
            }
        }
    }
    Py_INCREF(answer);
done:
    PyBuffer_Release(&table);
    PyBuffer_Release(&given);
    return answer;
}

static PyMethodDef methods[] = {
    {"add_words", add_words, METH_VARARGS,
     "add_words(table, folded_text, key, most_slots, most_words=unbounded)\n--\n\n"
     "Put the words of a folded text, and their hosts, into a table; return how many found no room."},
    {"has_word", has_word, METH_VARARGS,
     "has_word(table, word, key, host=False)\n--\n\nTell whether a table holds a word, or a host."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "lictor_native", "Words of texts, hashed into small tables.", -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_lictor_native(void) { return PyModule_Create(&module); }
