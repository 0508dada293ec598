/* A small testbed with every member in it, for the tests of this room and its users. */
#ifndef WS_TESTS_STUDY_SMALL_H
#define WS_TESTS_STUDY_SMALL_H

static const char small_testbed[] =
    "{\"name\": \"small\", \"source\": \"made up\", \"table\": \"t.csv\",\n"
    " \"objectives\": [\"latency_ms\", \"energy_j\"],\n"
    " \"knobs\": {\n"
    "  \"cut\": {\"part\": \"shared\", \"kind\": \"ordered\", \"values\": [0, 1, 2]},\n"
    "  \"edge.khz\": {\"part\": \"edge\", \"kind\": \"ordered\", \"values\": [600, "
    "1200]},\n"
    "  \"cloud.gpu\": {\"part\": \"cloud\", \"kind\": \"nominal\",\n"
    "                  \"values\": [\"off\", \"on\"]}},\n"
    " \"constraints\": [{\"if\": {\"cut\": 2}, \"then\": {\"cloud.gpu\": [\"off\"]}}],\n"
    " \"baselines\": {\"cloud-only\": {\"cut\": 0, \"edge.khz\": 1200,\n"
    "                                 \"cloud.gpu\": \"on\"}},\n"
    " \"switch_ms\": {\"default\": 10, \"edge.khz\": 150},\n"
    " \"link\": {\"mbit_s\": 100, \"delay_ms\": 1}, \"edge_idle_w\": 2}";

/* Seven settings of nine; 0/600/off six times, 0/600/on twice. */
static const char small_table[] =
    "knob.cut,knob.edge.khz,knob.cloud.gpu,latency_ms,energy_j,accuracy,edge_ms,"
    "transfer_ms,cloud_ms,edge_energy_j,cloud_energy_j,tensor_bytes,note\n"
    "0,600,off,100,10,0.9,10,20,70,1,9,100000,a\n"
    "0,600,off,110,11,0.9,11,22,77,1.1,9.9,100000,a\n"
    "0,600,off,90,9,0.9,9,18,63,0.9,8.1,100000,a\n"
    "0,600,off,100,10,0.9,10,20,70,1,9,100000,a\n"
    "0,600,off,120,12,0.9,12,24,84,1.2,10.8,100000,a\n"
    "0,600,off,80,8,0.9,8,16,56,0.8,7.2,100000,a\n"
    "0,600.0,on,50,20,0.9,10,20,20,1,19,100000,b\n"
    "0,600,on,54,22,0.9,10,20,24,1,21,100000,b\n"
    "0,1200,on,45,21,0.9,5,20,20,2,19,100000,\n"
    "1,600,on,70,12,0.9,50,5,15,3,9,20000,\n"
    "1,1200,on,45,14,0.9,25,5,15,5,9,20000,\n"
    "2,600,off,200,4,0.8,200,0,0,4,0,0,\n"
    "2,1200,off,100,6,0.8,100,0,0,6,0,,\n";

#endif
