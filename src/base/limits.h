/*
 * Every limit of the project, in one table. Each bounds something that comes from
 * outside: a file, a socket, a graph. Hitting one is WS_E_LIMIT with a line that names
 * it, never an abort. Raise a limit here, and nowhere else.
 */
#ifndef WS_BASE_LIMITS_H
#define WS_BASE_LIMITS_H

#define WS_ERROR_TEXT_MAX   512                 /* bytes of one error line */
#define WS_NAME_MAX         1024                /* bytes of a tensor, node or knob name */
#define WS_TEXT_FILE_MAX    (256u << 20)        /* bytes of a JSON, CSV or INI file */
#define WS_JSON_DEPTH_MAX   64                  /* nesting of a JSON document */
#define WS_BUF_MAX_DEFAULT  (1u << 30)          /* bytes of a growable buffer */
#define WS_TENSOR_RANK_MAX  16                  /* dimensions of a tensor */
#define WS_TENSOR_BYTES_MAX ((uint64_t)1 << 36) /* bytes of one tensor */
#define WS_SEQUENCE_MAX     65536u              /* items of one sequence */
#define WS_NPY_HEADER_MAX   65536u              /* bytes of an .npy file's header */
#define WS_MODEL_PROTO_MAX  ((uint64_t)1 << 31) /* bytes of one .onnx file */
#define WS_PROTO_DEPTH_MAX  64                  /* nesting of protobuf messages */
#define WS_PROTO_MSGS_MAX   4000000             /* messages in one .onnx file */
#define WS_MODEL_SKEL_MAX   (256u << 20)        /* bytes of a model without its weights */
#define WS_MODEL_FILES_MAX  4096                /* files of external data of a model */
#define WS_ZOO_BATCH_MAX    4096                /* images at once of a zoo model */
#define WS_GRAPH_NODES_MAX  200000              /* nodes of a graph, bodies included */
#define WS_GRAPH_DEPTH_MAX  16                  /* nesting of If, Loop and Scan bodies */
#define WS_GRAPH_IO_MAX     1024                /* inputs or outputs of a model */
#define WS_CUT_TENSORS_MAX  64                  /* tensors that cross one cut */
#define WS_KNOBS_MAX        32                  /* knobs of a space */
#define WS_KNOB_VALUES_MAX  4096                /* values of one knob */
#define WS_CONSTRAINTS_MAX  256                 /* constraints of a testbed */
#define WS_OBJECTIVES_MAX   4                   /* objectives of a search */
#define WS_TABLE_ROWS_MAX   4000000             /* rows of a recorded table */
#define WS_CSV_COLUMNS_MAX  4096                /* columns of a CSV file */
#define WS_PLAN_ENTRIES_MAX 100000              /* entries of a plan */
#define WS_STAGES_MAX       8                   /* stages of one plan entry */
#define WS_FEATURE_MAPS_MAX 65536               /* feature maps that are shared out */
#define WS_FUSION_ROWS_MAX  64                  /* shares that a fusion was fitted for */
#define WS_WORKLOAD_MAX     4000000             /* requests of a workload */
#define WS_TRACE_ROWS_MAX   1000000             /* rows of a trace of conditions */
#define WS_PRIOR_MAX        65536               /* settings of an agent's table */
#define WS_SEARCH_ALL_MAX   4194304     /* settings that a search counts through */
#define WS_AGENT_QUEUE_MAX  4096        /* requests that wait in an agent */
#define WS_AGENT_NODES_MAX  32          /* nodes of an agent */
#define WS_FLIGHTS_MAX      512         /* requests in any phase at once */
#define WS_POLICIES_MAX     16          /* policies that one agent holds */
#define WS_SHARE_NODES_MAX  64          /* nodes that share a batch */
#define WS_SHARE_LEVELS_MAX 16          /* variants of a model on one node */
#define WS_BATCH_MAX        16777216    /* inputs of a batch that is shared */
#define WS_OIP_BODY_MAX     (1u << 30)  /* bytes of a message's body, decoded */
#define WS_OIP_JSON_MAX     (16u << 20) /* bytes of JSON in a message */
#define WS_OIP_STRINGS_MAX  (1u << 24)  /* elements of a BYTES tensor */
#define WS_DECODE_FREE_MAX  (16u << 20) /* decoded bytes that may come of anything */
#define WS_DECODE_RATIO_MAX 1000        /* decoded bytes for each encoded, beyond */
#define WS_OIP_ID_MAX       1024        /* bytes of a request's id */
#define WS_HTTP_CONNS_MAX   2048        /* connections of a server at once */
#define WS_HTTP_FLIGHT_MAX  512         /* requests that a server has in hand at once */
#define WS_HTTP_HEADERS_MAX 16384       /* bytes of one request's line and headers */
#define WS_HTTP_HELD_MAX    ((uint64_t)2 << 30) /* bytes of requests held at once */
#define WS_ACCESS_FILE_MAX  (1u << 20)          /* bytes of a list of tokens */
#define WS_ACCESS_LINES_MAX 4096                /* entries of one */
#define WS_NODE_MODELS_MAX  1024                /* models of a node, loaded or not */
#define WS_NODE_STAGES_MAX  4096                /* cuts and codecs of one model in use */
#define WS_VARIANTS_MAX     16                  /* variants of a daemon's model */
#define WS_SERIES_MAX       1024                /* label combinations of one metric */
#define WS_SYSFS_PATH_MAX   512                 /* bytes of a path below sysfs */
#define WS_SYSFS_TEXT_MAX   4097        /* bytes of an attribute, a page and a NUL */
#define WS_SYSFS_LIST_MAX   65536       /* bytes of the names in one directory */
#define WS_MODE_CONF_MAX    (1u << 20)  /* bytes of a Jetson's list of modes */
#define WS_CPUS_MAX         1024        /* processors of a machine */
#define WS_LEASE_PATHS_MAX  4096        /* originals that one lease keeps */
#define WS_METERS_MAX       64          /* meters of a machine */
#define WS_BOARD_UNITS_MAX  16          /* computing units of a device model */
#define WS_BOARD_POINTS_MAX 64          /* points of one table of a device model */
#define WS_CLAIMS_MAX       1024        /* requests that overlap and share a meter */
#define WS_CLI_TEXTS_MAX    1024        /* times that an option may be given */
#define WS_SHAPER_CONNS_MAX 256         /* connections of a shaping proxy at once */
#define WS_SHAPER_BYTES_MAX (16u << 20) /* under way in one of its directions */

#endif
