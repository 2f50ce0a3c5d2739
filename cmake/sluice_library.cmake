# One function per kind of target; a folder of src/ is one library, its tests lie beside it.

add_library(sluice_flags INTERFACE)
target_compile_options(sluice_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # Designated initialisers leave fields to their defaults on purpose.
  -Wno-missing-field-initializers
  # GCC 12 sees overlapping copies in std::string operator+ that are not there (GCC bug 105329).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  # The order of every floating-point operation is part of the output: no contraction behind our back.
  -ffp-contract=off)
if(SLUICE_SANITIZE)
  target_compile_options(sluice_flags INTERFACE
    -fsanitize=${SLUICE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(sluice_flags INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()
if(SLUICE_FUZZERS)
  target_compile_options(sluice_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What the sanitizer presets and the fuzz preset build: no command line, no benchmarks.
add_custom_target(unit_tests)
add_custom_target(fuzzers)

# sluice_library(NAME [DEPS folder...] [LINKS target...])
#   Library sluice_NAME from src/NAME/*.cc. DEPS are the folders that it may include
#   (tools/check_floors.py holds it to that); LINKS are third-party targets.
#   *_test.cc become one test program NAME_test, *_bench.cc NAME_bench, each *_fuzz.cc a fuzzer.
function(sluice_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(benches ${sources})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  set(fuzzers ${sources})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cc$")

  add_library(sluice_${name} STATIC ${sources})
  target_include_directories(sluice_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:include>)
  list(TRANSFORM ARG_DEPS PREPEND sluice_ OUTPUT_VARIABLE deps)
  target_link_libraries(sluice_${name} PUBLIC ${deps} PRIVATE $<BUILD_INTERFACE:sluice_flags> ${ARG_LINKS})
  set_property(GLOBAL APPEND PROPERTY SLUICE_LIBRARIES sluice_${name})

  if(SLUICE_TESTS AND tests)
    add_executable(${name}_test ${tests})
    # Google Test takes longer to read than most tests: several to a compilation.
    set_target_properties(${name}_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
    add_dependencies(unit_tests ${name}_test)
    target_link_libraries(${name}_test PRIVATE sluice_${name} sluice_flags ${ARG_LINKS}
      GTest::gtest_main GTest::gmock)
    if(TARGET sluice_testing)
      target_link_libraries(${name}_test PRIVATE sluice_testing)
    endif()
    gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
      PROPERTIES TIMEOUT 300)
  endif()
  if(SLUICE_BENCHMARKS AND benches)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE sluice_${name} sluice_flags benchmark::benchmark_main)
  endif()
  if(SLUICE_FUZZERS)
    foreach(fuzzer ${fuzzers})
      get_filename_component(target ${fuzzer} NAME_WE)
      add_executable(${target} ${fuzzer})
      target_link_libraries(${target} PRIVATE sluice_${name} sluice_flags)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      add_dependencies(fuzzers ${target})
    endforeach()
  endif()
endfunction()

# sluice_executable(NAME SOURCES folder [DEPS folder...] [LINKS target...] [HEADERS header...])
#   Program NAME from src/<folder>/*.cc. HEADERS are third-party headers that nearly every source
#   includes and that take long to read: they are compiled once.
function(sluice_executable name)
  cmake_parse_arguments(ARG "" "SOURCES" "DEPS;LINKS;HEADERS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_SOURCES}/*.cc)
  add_executable(${name} ${sources})
  list(TRANSFORM ARG_DEPS PREPEND sluice_ OUTPUT_VARIABLE deps)
  target_link_libraries(${name} PRIVATE ${deps} sluice_flags ${ARG_LINKS})
  target_compile_definitions(${name} PRIVATE SLUICE_VERSION="${PROJECT_VERSION}")
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  install(TARGETS ${name})
endfunction()
